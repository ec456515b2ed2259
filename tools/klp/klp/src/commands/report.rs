// SPDX-License-Identifier: GPL-2.0

//! What `klp list` and `klp status` say with `--json`, as `Documentation/livepatch/klp-status-json.md`
//! defines it.

use crate::system::blockers::{self, Place};
use crate::system::patches::{self, Patch, State};
use crate::system::phase::{self, Phase};
use crate::system::support::Core;
use crate::system::{modules, System};
use crate::transition::{in_the_way, watch};
use anyhow::Result;
use serde::Serialize;
use std::time::Duration;

/// Of the format. It grows when a member changes its meaning or goes, not when one is added.
pub const VERSION: u32 = 1;

/// A system and its patches.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`VERSION`]
    pub version: u32,
    /// What loads livepatches.
    pub core: CoreReport,
    /// In the order of their stack, then those whose modules are loaded only.
    pub patches: Vec<PatchReport>,
    /// For people.
    #[serde(skip)]
    pub core_text: String,
}

/// What loads livepatches.
#[derive(Debug, Serialize)]
pub struct CoreReport {
    /// `none`, `mainline` or `livepatch.ko`
    pub kind: &'static str,
    /// Of livepatch.ko, or of the kernel.
    pub version: Option<String>,
}

/// A patch.
#[derive(Debug, Serialize)]
pub struct PatchReport {
    /// That of its module.
    pub name: String,
    /// `enabled`, `enabling`, `disabling` or `disabled`
    pub state: &'static str,
    /// Whether it replaces all earlier ones.
    pub replace: Option<bool>,
    /// Its place among the patches, from 1.
    pub stack_order: Option<u64>,
    /// How many functions it replaces.
    pub functions: usize,
    /// What it patches.
    pub objects: Vec<ObjectReport>,
    /// While it is in transition.
    pub transition: Option<TransitionReport>,
}

/// What a patch patches.
#[derive(Debug, Serialize)]
pub struct ObjectReport {
    /// A module, or `vmlinux`.
    pub name: String,
    /// Whether it is loaded and patched.
    pub patched: Option<bool>,
    /// What is replaced in it.
    pub functions: Vec<FunctionReport>,
}

/// A replaced function.
#[derive(Debug, Serialize)]
pub struct FunctionReport {
    /// Its name in the object.
    pub name: String,
    /// Which one of that name, from 1.
    pub position: Option<u64>,
}

/// A transition.
#[derive(Debug, Serialize)]
pub struct TransitionReport {
    /// How long it has lasted.
    pub seconds: Option<u64>,
    /// `waiting` or `switched`, where there are phases and it can be read.
    pub phase: Option<&'static str>,
    /// What it waits for; only `klp status` says that.
    pub blockers: Option<BlockersReport>,
}

/// What a transition waits for.
#[derive(Debug, Serialize)]
pub struct BlockersReport {
    /// Why it is not known.
    pub error: Option<String>,
    /// Those that are known.
    pub tasks: Vec<TaskReport>,
    /// How many there are besides.
    pub more: u64,
    /// What the transition has come to, and how many are in the way; for people.
    #[serde(skip)]
    pub text: String,
}

/// A task in the way.
#[derive(Debug, Serialize)]
pub struct TaskReport {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// `function`, `module`, `unreliable-stack` or `unknown`
    pub reason: &'static str,
    /// What it is in.
    pub function: Option<String>,
    /// The patch in whose code it is, if that is all that is known.
    pub module: Option<String>,
    /// For people.
    #[serde(skip)]
    pub text: String,
}

impl Report {
    /// Of all patches, or the one of this name; `closely` also looks what is in the way.
    pub fn new(system: &System, name: Option<&str>, closely: bool) -> Result<Self> {
        let core = Core::detect(system)?;
        let found = match name {
            Some(name) => patches::one(system, name)?.into_iter().collect(),
            None => patches::all(system)?,
        };
        let mut patches: Vec<PatchReport> = found
            .into_iter()
            .map(|patch| PatchReport::new(system, patch, closely))
            .collect();
        for module in modules::all(system)? {
            let wanted = name.is_none_or(|name| name == module.name);
            let known = patches.iter().any(|patch| patch.name == module.name);
            if module.is_livepatch() && wanted && !known {
                patches.push(PatchReport::disabled(module.name));
            }
        }
        Ok(Report {
            version: VERSION,
            core: CoreReport {
                kind: core.kind(),
                version: core.version().map(str::to_owned),
            },
            patches,
            core_text: core.to_string(),
        })
    }
}

impl PatchReport {
    fn new(system: &System, patch: Patch, closely: bool) -> Self {
        let transition = patch.state.is_transition().then(|| {
            let phase = phase::of(system, &patch.name);
            TransitionReport {
                seconds: watch::age(system, &patch.name)
                    .as_ref()
                    .map(Duration::as_secs),
                phase: phase.map(Phase::as_str),
                blockers: closely.then(|| BlockersReport::new(system, &patch, phase)),
            }
        });
        PatchReport {
            state: patch.state.as_str(),
            replace: patch.replace,
            stack_order: patch.stack_order,
            functions: patch.functions(),
            objects: patch.objects.into_iter().map(ObjectReport::new).collect(),
            name: patch.name,
            transition,
        }
    }

    /// Of which nothing but the module is left.
    fn disabled(name: String) -> Self {
        PatchReport {
            name,
            state: patches::State::Disabled.as_str(),
            replace: None,
            stack_order: None,
            functions: 0,
            objects: Vec::new(),
            transition: None,
        }
    }
}

impl ObjectReport {
    fn new(object: patches::Object) -> Self {
        let functions = object.functions.into_iter();
        ObjectReport {
            name: object.name,
            patched: object.patched,
            functions: functions
                .map(|function| FunctionReport {
                    name: function.name,
                    position: function.position,
                })
                .collect(),
        }
    }
}

impl BlockersReport {
    fn new(system: &System, patch: &Patch, phase: Option<Phase>) -> Self {
        let (blockers, error) = match blockers::of(system, patch) {
            Ok(blockers) => (blockers, None),
            Err(error) => (blockers::Blockers::default(), Some(error)),
        };
        let text = heading(patch.state, phase, blockers.count(), error.as_deref());
        let tasks = blockers.tasks.into_iter().map(|task| {
            let text = in_the_way::whereabouts(&task.place);
            let (reason, function, module) = match task.place {
                Place::Function(name) => ("function", Some(name), None),
                Place::Module(name) => ("module", None, Some(name)),
                Place::UnreliableStack => ("unreliable-stack", None, None),
                Place::Unknown => ("unknown", None, None),
            };
            TaskReport {
                pid: task.pid,
                name: task.name,
                reason,
                function,
                module,
                text,
            }
        });
        BlockersReport {
            error,
            tasks: tasks.collect(),
            more: blockers.more,
            text,
        }
    }
}

/// What stands above the tasks that are in the way, or in place of them.
fn heading(state: State, phase: Option<Phase>, count: u64, error: Option<&str>) -> String {
    if let Some(error) = error {
        let unknown = format!("what is in the way is not known: {error}");
        return in_the_way::with_effect(state, phase, &unknown);
    }
    match (phase, count) {
        (_, 0) => in_the_way::count(state, phase, 0),
        (None, _) => "in the way:".to_owned(),
        (Some(_), _) => format!("{}:", in_the_way::count(state, phase, count)),
    }
}
