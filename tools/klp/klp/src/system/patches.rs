// SPDX-License-Identifier: GPL-2.0

//! Patches as `/sys/kernel/livepatch` shows them; see
//! `Documentation/ABI/testing/sysfs-kernel-livepatch` of the kernel source.
//!
//! A patch can end at any moment. What is gone when it is looked at is left out.

use super::{is_gone, modules, read_if_there, System};
use anyhow::{Context, Result};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the patches are.
pub const DIRECTORY: &str = "/sys/kernel/livepatch";

/// What becomes of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In effect.
    Enabled,
    /// On the way to that.
    Enabling,
    /// On the way to being disabled.
    Disabling,
    /// Not in effect; its module may still be loaded.
    Disabled,
}

impl State {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Enabled => "enabled",
            State::Enabling => "enabling",
            State::Disabling => "disabling",
            State::Disabled => "disabled",
        }
    }

    /// Whether the patch is in transition.
    pub fn is_transition(self) -> bool {
        matches!(self, State::Enabling | State::Disabling)
    }
}

/// A replaced function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Its name in the object.
    pub name: String,
    /// Which one of that name, from 1.
    pub position: Option<u64>,
}

/// What a patch patches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// A module, or `vmlinux`.
    pub name: String,
    /// Whether it is loaded and patched; old kernels do not say.
    pub patched: Option<bool>,
    /// In the order of their names.
    pub functions: Vec<Function>,
}

/// A patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// That of its module.
    pub name: String,
    /// What becomes of it.
    pub state: State,
    /// Whether it replaces all earlier ones; old kernels do not say.
    pub replace: Option<bool>,
    /// Its place among the patches, from 1; old kernels do not say.
    pub stack_order: Option<u64>,
    /// In the order of their names.
    pub objects: Vec<Object>,
}

impl Patch {
    /// Whether it has this function of an object.
    pub fn has(&self, object: &str, function: &Function) -> bool {
        let objects = self.objects.iter().filter(|one| one.name == object);
        objects
            .flat_map(|object| &object.functions)
            .any(|one| one == function)
    }

    /// Whether it replaces all earlier ones; where the kernel does not say, as its file says.
    pub fn replaces(&self, file: impl FnOnce() -> Option<bool>) -> bool {
        self.replace.or_else(file) == Some(true)
    }

    /// How many functions it replaces.
    pub fn functions(&self) -> usize {
        self.objects
            .iter()
            .map(|object| object.functions.len())
            .sum()
    }
}

/// All patches, in the order of their stack.
pub fn all(system: &System) -> Result<Vec<Patch>> {
    let mut patches = Vec::new();
    for (name, _) in directories(&system.path(DIRECTORY))? {
        patches.extend(one(system, &name)?);
    }
    patches.sort_by(|a, b| (a.stack_order, &a.name).cmp(&(b.stack_order, &b.name)));
    if patches.iter().any(|patch| patch.stack_order.is_none()) {
        // A module enables its patch while it is inserted, and the newest module is listed first.
        let modules = modules::all(system)?;
        let age = |patch: &Patch| modules.iter().position(|module| module.name == patch.name);
        patches.sort_by_key(|patch| Reverse(age(patch)));
    }
    Ok(patches)
}

/// The patch of this name.
pub fn one(system: &System, name: &str) -> Result<Option<Patch>> {
    let Some(state) = state(system, name)? else {
        return Ok(None);
    };
    let path = directory(system, name);
    let mut objects = Vec::new();
    for (name, path) in directories(&path)? {
        let functions = directories(&path)?.into_keys().map(function).collect();
        objects.push(Object {
            name,
            patched: attribute(&path, "patched")?.map(|text| text == "1"),
            functions,
        });
    }
    Ok(Some(Patch {
        name: name.to_owned(),
        state,
        replace: attribute(&path, "replace")?.map(|text| text == "1"),
        stack_order: attribute(&path, "stack_order")?.and_then(|text| text.parse().ok()),
        objects,
    }))
}

/// What becomes of the patch of this name; `None` where there is none.
pub fn state(system: &System, name: &str) -> Result<Option<State>> {
    let path = directory(system, name);
    let enabled = attribute(&path, "enabled")?;
    let transition = attribute(&path, "transition")?;
    Ok(match (enabled.as_deref(), transition.as_deref()) {
        (Some("1"), Some("1")) => Some(State::Enabling),
        (Some("1"), Some(_)) => Some(State::Enabled),
        (Some(_), Some("1")) => Some(State::Disabling),
        (Some(_), Some(_)) => Some(State::Disabled),
        _ => None,
    })
}

/// The first patch that is in transition, other than `except`.
pub fn in_transition(system: &System, except: &str) -> Result<Option<String>> {
    for (name, _) in directories(&system.path(DIRECTORY))? {
        if name != except && state(system, &name)?.is_some_and(State::is_transition) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Writes to one of a patch's files.
pub fn write(system: &System, name: &str, file: &str, value: &str) -> io::Result<()> {
    // Not created where it is gone, as in a test's tree.
    let mut file = fs::File::options()
        .write(true)
        .open(directory(system, name).join(file))?;
    io::Write::write_all(&mut file, value.as_bytes())
}

fn directory(system: &System, name: &str) -> PathBuf {
    system.path(DIRECTORY).join(name)
}

fn function(name: String) -> Function {
    match name.rsplit_once(',') {
        Some((function, position)) => Function {
            name: function.to_owned(),
            position: position.parse().ok(),
        },
        None => Function {
            name,
            position: None,
        },
    }
}

fn attribute(directory: &Path, name: &str) -> Result<Option<String>> {
    let path = directory.join(name);
    read_if_there(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The directories in a directory, by name. None where it is not there.
fn directories(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let context = || format!("cannot read {}", path.display());
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(context),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error).with_context(context),
        };
        // What is gone by now is no directory.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}
