// SPDX-License-Identifier: GPL-2.0

//! How far a transition has come.
//!
//! `livepatch.ko` says it in `/sys/kernel/debug/livepatch/<patch>/phase`, for root alone. Mainline's
//! core switches one task after the other over, and has no such phases.

use super::{read_if_there, System};

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
    let file = system.path(format!("/sys/kernel/debug/livepatch/{patch}/phase"));
    let word = read_if_there(&file).ok().flatten()?;
    [Phase::Waiting, Phase::Switched]
        .into_iter()
        .find(|phase| phase.as_str() == word)
}
