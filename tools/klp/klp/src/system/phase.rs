// SPDX-License-Identifier: GPL-2.0

//! How far a transition has come.
//!
//! `livepatch.ko` says it in `/sys/kernel/debug/livepatch/<patch>/phase`, for root alone. Mainline's
//! core switches one task after the other over, and has no such phases.

use super::{read_if_there, System};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a patch is waiting at most: livepatch.ko for a quarter of a second, on a slow machine a
/// little longer.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// How far a transition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has changed yet, for any task.
    Waiting,
    /// All tasks have switched over but those that are in the way.
    Switched,
}

impl Phase {
    /// In the kernel's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Switched => "switched",
        }
    }
}

/// The phase of the patch's transition. `None` where the patch has no transition, where there are
/// no phases, and where it cannot be read; why it cannot, [`super::blockers::of`] says.
pub fn of(system: &System, patch: &str) -> Option<Phase> {
    let word = word(system, patch)?;
    [Phase::Waiting, Phase::Switched]
        .into_iter()
        .find(|phase| phase.as_str() == word)
}

/// Waits until the patch is not waiting any more, for as long as that takes as a rule: to get a task
/// out of the way before is in vain, as it calls the same functions again.
pub fn wait_for_switch(system: &System, patch: &str) {
    let start = Instant::now();
    while of(system, patch) == Some(Phase::Waiting) && start.elapsed() < PATIENCE {
        sleep(LOOK);
    }
}

/// Whether the patch was enabled by force; `None` in a transition, and where it cannot be read.
pub fn was_forced(system: &System, patch: &str) -> Option<bool> {
    match word(system, patch)?.as_str() {
        "forced" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

fn word(system: &System, patch: &str) -> Option<String> {
    let file = system.path(format!("/sys/kernel/debug/livepatch/{patch}/phase"));
    read_if_there(&file).ok().flatten()
}
