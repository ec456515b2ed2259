// SPDX-License-Identifier: GPL-2.0

//! Removing the module of a patch that is disabled.

use super::modules::Loaded;
use super::{modules, System};
use anyhow::{anyhow, Result};
use rustix::io::Errno;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The kernel lets go of a patch's module a moment after the patch is gone from sysfs.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// That moment, or a little longer.
const MOMENT: Duration = Duration::from_secs(2);

/// What it means that the kernel keeps the module of a patch that is disabled.
const KEPT: &str = "the kernel keeps its module: for a moment after it was disabled, or until the next boot if its transition was forced";

/// What removes the module of a patch that is disabled, or why nothing does.
pub fn outlook(module: &Loaded) -> String {
    match module.in_use() {
        _ if module.is_kept() => KEPT.to_owned(),
        Some(why) => format!("its module cannot be removed: {why}"),
        None => format!("'klp unload {}' removes its module", module.name),
    }
}

/// Waits until the kernel has let go of the module of a patch that was disabled just now, for as long
/// as that takes as a rule. Returns why it has not.
pub fn settle(system: &System, name: &str) -> Option<&'static str> {
    let start = Instant::now();
    let is_kept = || {
        let module = modules::find(system, name).ok().flatten();
        module.is_some_and(|module| module.is_kept())
    };
    while is_kept() {
        if start.elapsed() >= MOMENT {
            return Some(KEPT);
        }
        sleep(LOOK);
    }
    None
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
            Some(Errno::AGAIN | Errno::BUSY) if start.elapsed() < PATIENCE => sleep(LOOK),
            Some(Errno::AGAIN | Errno::BUSY) => {
                let why = match modules::find(system, name)? {
                    Some(module) if module.is_kept() => format!(
                        "{}. If 'klp force' took it out of effect, tasks may still run its code, and it stays until the next boot; otherwise something else holds it",
                        module.in_use().unwrap_or_default()
                    ),
                    module => module
                        .and_then(|module| module.in_use())
                        .unwrap_or_else(|| error.to_string()),
                };
                return Err(anyhow!(
                    "{name} is disabled, but its module cannot be removed: {why}"
                ));
            }
            _ => return Err(anyhow!("the module {name} cannot be removed: {error}")),
        }
    }
}
