// SPDX-License-Identifier: GPL-2.0

//! Removing the module of a patch that is disabled.

use super::modules::Loaded;
use super::{modules, read_if_there, System};
use anyhow::{anyhow, Result};
use rustix::io::Errno;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The kernel lets go of a patch's module a moment after the patch is gone from sysfs.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// That moment, or a little longer.
const MOMENT: Duration = Duration::from_secs(2);

/// What it means that tasks were forced out of a patch.
pub const UNTIL_BOOT: &str = "tasks were forced out of it and may still run its code, so that the kernel keeps its module until the next boot";

/// The same, with what can be done.
pub fn until_boot_advice() -> String {
    format!(
        "{UNTIL_BOOT}; a livepatch of another name can be loaded ('klp build --name NAME' makes one)"
    )
}

/// What keeps the module of a patch that is disabled from being removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    Free,
    /// Tasks were forced out of it.
    UntilBoot,
    /// The kernel, for a moment; or what klp does not know of.
    Moment,
    /// The kernel, for a moment or, where tasks were forced out of it, until the next boot: this core
    /// does not tell.
    Unknown,
    /// Something else.
    By(String),
}

impl Hold {
    /// Of this module.
    pub fn of(system: &System, module: &Loaded) -> Self {
        let Some(why) = module.in_use() else {
            return Hold::Free;
        };
        match forced(system) {
            Some(names) if names.contains(&module.name) => Hold::UntilBoot,
            _ if !module.is_kept() => Hold::By(why),
            Some(_) => Hold::Moment,
            None => Hold::Unknown,
        }
    }

    /// Of the module of this name. Nothing keeps one that is not there.
    pub fn find(system: &System, name: &str) -> Result<Self> {
        let module = modules::find(system, name)?;
        Ok(module.map_or(Hold::Free, |module| Hold::of(system, &module)))
    }

    /// Whether it lasts until the next boot, where that is known.
    pub fn is_until_boot(&self) -> Option<bool> {
        match self {
            Hold::UntilBoot => Some(true),
            Hold::Free | Hold::Moment => Some(false),
            Hold::Unknown | Hold::By(_) => None,
        }
    }
}

/// The modules of patches that tasks were forced out of, as `livepatch.ko` lists them, for root alone.
fn forced(system: &System) -> Option<Vec<String>> {
    let path = system.path("/sys/kernel/debug/livepatch/kept-modules");
    let text = read_if_there(&path).ok()??;
    Some(text.lines().map(str::to_owned).collect())
}

/// What removes the module of a patch that is disabled, or why nothing does.
pub fn outlook(module: &Loaded, hold: &Hold) -> String {
    match hold {
        Hold::Free => format!("'klp unload {}' removes its module", module.name),
        Hold::UntilBoot => until_boot_advice(),
        Hold::Moment => "the kernel keeps its module for a moment, or something else holds it".to_owned(),
        Hold::Unknown => "the kernel keeps its module: for a moment after it was disabled, or until the next boot if its transition was forced".to_owned(),
        Hold::By(why) => format!("its module cannot be removed: {why}"),
    }
}

/// Waits until the kernel has let go of the module of a patch that was disabled just now, for as long
/// as that takes as a rule, and no longer than `limit`. Returns why it has not.
pub fn settle(system: &System, name: &str, limit: Duration) -> Option<String> {
    let start = Instant::now();
    let limit = limit.min(MOMENT);
    loop {
        let module = modules::find(system, name).ok().flatten()?;
        let hold = Hold::of(system, &module);
        match hold {
            Hold::Free | Hold::By(_) => return None,
            Hold::Moment | Hold::Unknown if start.elapsed() < limit => sleep(LOOK),
            Hold::UntilBoot | Hold::Moment | Hold::Unknown => return Some(outlook(&module, &hold)),
        }
    }
}

/// Removes the module of this name. One that is gone already is fine.
pub fn remove(system: &System, name: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let Err(error) = modules::remove(system, name) else {
            return Ok(());
        };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => return Ok(()),
            Some(Errno::AGAIN | Errno::BUSY) => {}
            _ => return Err(anyhow!("the module {name} cannot be removed: {error}")),
        }
        let module = modules::find(system, name)?;
        let hold = module
            .as_ref()
            .map_or(Hold::Moment, |module| Hold::of(system, module));
        if hold != Hold::UntilBoot && start.elapsed() < PATIENCE {
            sleep(LOOK);
            continue;
        }
        let references = module.and_then(|module| module.in_use());
        let references = references.unwrap_or_else(|| error.to_string());
        let why = match hold {
            Hold::UntilBoot => until_boot_advice(),
            Hold::Unknown => format!(
                "{references}. If 'klp force' took it out of effect, tasks may still run its code, and it stays until the next boot; otherwise something else holds it"
            ),
            Hold::Free | Hold::Moment | Hold::By(_) => references,
        };
        return Err(anyhow!(
            "{name} is disabled, but its module cannot be removed: {why}"
        ));
    }
}
