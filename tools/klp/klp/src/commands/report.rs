// SPDX-License-Identifier: GPL-2.0

//! What `klp list` and `klp status` tell of patches. This is also the JSON:
//! `Documentation/livepatch/klp-json.md`.

use crate::cli::Context;
use crate::console::SCHEMA;
use crate::file::module_file::ModuleFile;
use crate::system::about::About;
use crate::system::blockers::{self, Blockers, Place};
use crate::system::effect::{Share, Stack};
use crate::system::patches::{self, Function, Object, Patch, State};
use crate::system::phase::{self, Phase};
use crate::system::removal::{self, Hold};
use crate::system::store::{self, Entry};
use crate::system::support::Core;
use crate::system::{identity, modules, System};
use crate::transition::{advice, in_the_way, watch};
use anyhow::Result;
use serde::Serialize;
use std::time::Duration;

/// A system and its patches.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: u32,
    /// What loads livepatches.
    pub core: CoreReport,
    /// In the order of their stack, then those of which only the module is loaded, then those that
    /// are installed for this kernel and not loaded.
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
    /// `enabled`, `enabling`, `disabling`, `disabled` or `not-loaded`
    pub state: &'static str,
    /// Whether it is loaded at every boot of this kernel; not where that is not known.
    pub installed: Option<bool>,
    /// Whether the build that is loaded is the one that is installed, where both are there and tell.
    pub is_installed_build: Option<bool>,
    /// Of a disabled patch, whether the kernel keeps its module.
    pub is_kept: Option<bool>,
    /// Whether it does until the next boot, where that is known.
    pub is_kept_until_boot: Option<bool>,
    /// The same, or what removes it, for people.
    #[serde(skip)]
    pub removal: Option<String>,
    /// Whether it was enabled by force; not where that is not known.
    pub was_forced: Option<bool>,
    /// What it is for.
    pub description: Option<String>,
    /// Its module's version.
    pub version: Option<String>,
    /// The digest of its module's sources.
    pub srcversion: Option<String>,
    /// Those who wrote it.
    pub authors: Vec<String>,
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
    /// For which tasks: `all`, `some` or `none`; not where it is not known.
    pub in_effect: Option<&'static str>,
    /// The patch that keeps it from being in effect for the others, if one does.
    pub overridden_by: Option<String>,
    /// Both, for people.
    #[serde(skip)]
    pub text: String,
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
    /// What can be done about them; for people.
    #[serde(skip)]
    pub advice: Vec<String>,
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
    /// `running`, `sleeping`, `uninterruptible`, `stopped` or `traced`, where that is known.
    pub state: Option<&'static str>,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: Option<bool>,
    /// The function of the kernel that it sleeps in.
    pub waits_in: Option<String>,
    /// The child that it waits for, as the parent of a `vfork`.
    pub vfork_child: Option<ProcessReport>,
    /// Whether a signal gets it out of the way.
    pub is_interruptible: Option<bool>,
    /// For people.
    #[serde(skip)]
    pub text: String,
}

/// A process.
#[derive(Debug, Serialize)]
pub struct ProcessReport {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
}

/// The state of a patch that is installed only.
pub(super) const NOT_LOADED: &str = "not-loaded";

/// A patch as it was found.
struct Found {
    patch: Patch,
    phase: Option<Phase>,
    /// While it is in transition, and where that was asked for.
    blockers: Option<Result<Blockers, String>>,
}

impl Report {
    /// Of all patches, or the one of this name; `closely` also looks what is in the way.
    pub fn new(context: &mut Context, name: Option<&str>, closely: bool) -> Result<Self> {
        let installed = installed(context);
        let system = &context.system;
        let core = Core::detect(system)?;
        // Before the patches: one that is inserted meanwhile would look as if it were disabled.
        let modules = modules::all(system)?;
        let found: Vec<Found> = patches::all(system)?
            .into_iter()
            .map(|patch| Found::new(system, patch, closely))
            .collect();
        let all = found.iter().map(|found| (&found.patch, found.phase));
        let stack = Stack::new(all, matches!(core, Core::Mainline { .. }));
        let mut patches: Vec<PatchReport> = found
            .iter()
            .map(|one| PatchReport::new(system, one, &found, &stack))
            .collect();
        for module in modules {
            let known = patches.iter().any(|patch| patch.name == module.name);
            if module.is_livepatch() && module.is_live && !known {
                let state = State::Disabled.as_str();
                let hold = Hold::of(system, &module);
                patches.push(PatchReport {
                    is_kept: Some(module.is_kept() || hold == Hold::UntilBoot),
                    is_kept_until_boot: hold.is_until_boot(),
                    removal: Some(removal::outlook(&module, &hold)),
                    ..PatchReport::without_patch(module.name, state)
                });
            }
        }
        for patch in &mut patches {
            let mut entries = installed.iter().flatten();
            let entry = entries.find(|entry| entry.name.as_str() == patch.name);
            let path = entry.map(|entry| entry.path.as_path());
            patch.installed = installed.as_ref().map(|_| entry.is_some());
            patch.is_installed_build =
                path.and_then(|path| identity::is_loaded(system, &patch.name, path));
            patch.describe(About::of_loaded(system, &patch.name, path));
        }
        for entry in installed.into_iter().flatten() {
            if patches
                .iter()
                .all(|patch| patch.name != entry.name.as_str())
            {
                let mut patch = PatchReport::without_patch(entry.name.to_string(), NOT_LOADED);
                patch.installed = Some(true);
                let file = ModuleFile::read(&entry.path);
                patch
                    .describe(file.map_or_else(|_| About::default(), |file| About::of_file(&file)));
                patches.push(patch);
            }
        }
        patches.retain(|patch| name.is_none_or(|name| name == patch.name));
        Ok(Report {
            schema: SCHEMA,
            core: CoreReport {
                kind: core.kind(),
                version: core.version().map(str::to_owned),
            },
            patches,
            core_text: core.to_string(),
        })
    }
}

/// What is installed for the running kernel; `None` where that cannot be read, which is told.
fn installed(context: &mut Context) -> Option<Vec<Entry>> {
    match store::of_running(&context.system) {
        Ok(found) => found.map(|(_, entries)| entries),
        Err(error) => {
            let text = format!("which patches are installed is not known: {error:#}");
            context.console.note(&text);
            None
        }
    }
}

impl Found {
    fn new(system: &System, patch: Patch, closely: bool) -> Self {
        let is_transition = patch.state.is_transition();
        Found {
            phase: match is_transition {
                true => phase::of(system, &patch.name),
                false => None,
            },
            blockers: (is_transition && closely).then(|| blockers::of(system, &patch)),
            patch,
        }
    }

    /// How many tasks are in the way, where it is known.
    fn count(&self) -> Option<u64> {
        Some(self.blockers.as_ref()?.as_ref().ok()?.count())
    }
}

impl PatchReport {
    fn new(system: &System, found: &Found, all: &[Found], stack: &Stack<'_>) -> Self {
        let patch = &found.patch;
        let transition = patch.state.is_transition().then(|| TransitionReport {
            seconds: watch::age(system, &patch.name)
                .as_ref()
                .map(Duration::as_secs),
            phase: found.phase.map(Phase::as_str),
            blockers: found
                .blockers
                .as_ref()
                .map(|blockers| BlockersReport::new(patch, found.phase, blockers)),
        });
        let object = |object: &Object| ObjectReport {
            name: object.name.clone(),
            patched: object.patched,
            functions: object
                .functions
                .iter()
                .map(|function| FunctionReport::new(found, object, function, all, stack))
                .collect(),
        };
        PatchReport {
            replace: patch.replace,
            stack_order: patch.stack_order,
            functions: patch.functions(),
            objects: patch.objects.iter().map(object).collect(),
            transition,
            was_forced: phase::was_forced(system, &patch.name),
            ..PatchReport::without_patch(patch.name.clone(), patch.state.as_str())
        }
    }

    /// Of which there is nothing but a module, loaded or not.
    fn without_patch(name: String, state: &'static str) -> Self {
        PatchReport {
            name,
            state,
            installed: None,
            is_installed_build: None,
            is_kept: None,
            is_kept_until_boot: None,
            removal: None,
            was_forced: None,
            description: None,
            version: None,
            srcversion: None,
            authors: Vec::new(),
            replace: None,
            stack_order: None,
            functions: 0,
            objects: Vec::new(),
            transition: None,
        }
    }

    fn describe(&mut self, about: About) {
        self.description = about.description;
        self.version = about.version;
        self.srcversion = about.srcversion;
        self.authors = about.authors;
    }
}

impl FunctionReport {
    fn new(
        found: &Found,
        object: &Object,
        function: &Function,
        all: &[Found],
        stack: &Stack<'_>,
    ) -> Self {
        let (share, by) = match object.patched {
            Some(false) => (Share::None, None),
            _ => {
                let effect = stack.effect(&found.patch, &object.name, function);
                (effect.share, effect.overridden_by)
            }
        };
        let by = by.and_then(|patch| all.iter().find(|found| found.patch.name == patch.name));
        FunctionReport {
            name: function.name.clone(),
            position: function.position,
            in_effect: share.as_str(),
            overridden_by: by.map(|by| by.patch.name.clone()),
            text: effect(found, share, by),
        }
    }
}

/// Whether a function of a patch is in effect, in words.
fn effect(found: &Found, share: Share, by: Option<&Found>) -> String {
    let state = found.patch.state;
    let Some(by) = by else {
        return match (share, found.count()) {
            (Share::All, _) if state == State::Disabling => "still in effect".to_owned(),
            (Share::All, _) => "in effect".to_owned(),
            (Share::None, _) if state == State::Enabling => "not in effect yet".to_owned(),
            (Share::None, _) => "not in effect".to_owned(),
            (Share::Some, Some(count)) if found.phase.is_some() => {
                in_the_way::count(state, found.phase, count)
            }
            (Share::Some, _) => "in effect for some tasks".to_owned(),
            (Share::Unknown, _) => "it is not known whether it is in effect".to_owned(),
        };
    };
    let name = &by.patch.name;
    let count = by.count().filter(|_| by.phase.is_some());
    match (share, count.map(in_the_way::tasks)) {
        (Share::None | Share::All, _) => format!("not in effect, overridden by {name}"),
        (Share::Unknown, _) => {
            format!("it is not known whether it is in effect, or overridden by {name}")
        }
        (Share::Some, Some(tasks)) if by.patch.state == State::Enabling => {
            format!("in effect for {tasks}, overridden by {name} for the others")
        }
        (Share::Some, Some(tasks)) => {
            format!("in effect, but for {tasks}, overridden by {name} for these")
        }
        (Share::Some, None) => {
            format!("in effect for some tasks, overridden by {name} for the others")
        }
    }
}

impl BlockersReport {
    fn new(patch: &Patch, phase: Option<Phase>, blockers: &Result<Blockers, String>) -> Self {
        let (blockers, error) = match blockers {
            Ok(blockers) => (blockers, None),
            Err(error) => (&Blockers::default(), Some(error)),
        };
        let text = heading(
            patch.state,
            phase,
            blockers.count(),
            error.map(String::as_str),
        );
        let tasks = blockers.tasks.iter().map(|task| {
            let text = in_the_way::whereabouts(task);
            let doing = task.task.as_ref();
            let (reason, function, module) = match &task.place {
                Place::Function(name) => ("function", Some(name.clone()), None),
                Place::Module(name) => ("module", None, Some(name.clone())),
                Place::UnreliableStack => ("unreliable-stack", None, None),
                Place::Unknown => ("unknown", None, None),
            };
            TaskReport {
                pid: task.pid,
                name: task.name.clone(),
                reason,
                function,
                module,
                state: doing.map(|task| task.activity.as_str()),
                is_kernel_thread: doing.map(|task| task.is_kernel_thread),
                waits_in: doing.and_then(|task| task.waits_in.clone()),
                vfork_child: doing
                    .and_then(|task| task.vfork_child.as_ref())
                    .map(|child| ProcessReport {
                        pid: child.pid,
                        name: child.name.clone(),
                    }),
                is_interruptible: doing.map(|_| task.is_interruptible()),
                text,
            }
        });
        BlockersReport {
            error: error.cloned(),
            tasks: tasks.collect(),
            more: blockers.more,
            text,
            advice: advice::lines(patch, blockers),
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
