// SPDX-License-Identifier: GPL-2.0

//! Seeing a transition through: waiting for its end, and turning it round if it takes too long.

use super::console::Console;
use super::watch::{self, End};
use super::{set_enabled, Outcome, TransitionArgs};
use crate::system::patches::State;
use crate::system::System;
use anyhow::{bail, Result};

/// How a transition ended.
pub(super) enum Ended {
    /// As was wanted.
    AsWanted,
    /// As was wanted, right before it could be reversed.
    BeforeReversal,
    /// The time was up: it was reversed, and the patch is what it was before.
    Reversed,
    /// The time is up, and it goes on.
    GoesOn,
}

/// Waits for the end of a transition after which the patch is to be enabled, or not to be. What
/// it has to say of a time that is up is told.
///
/// # Errors
///
/// Where somebody else has turned it round.
pub(super) fn see_through(
    system: &System,
    console: &mut Console,
    name: &str,
    enabled: bool,
    how: &TransitionArgs,
) -> Result<Ended> {
    let text = match watch::wait(system, console, name, &how.wait)? {
        End::TimeIsUp(text) => text,
        end if is_enabled(&end) == enabled => return Ok(Ended::AsWanted),
        _ if enabled => {
            bail!("{name} was disabled, or replaced, by somebody else while it was being enabled")
        }
        _ => bail!("{name} was enabled by somebody else while it was being disabled"),
    };
    if !how.reverse {
        return goes_on(console, &text);
    }
    console.note(&format!(
        "the time is up, and the transition is reversed: {text}"
    ));
    set_enabled(system, name, !enabled)?;
    match watch::wait(system, console, name, &how.wait)? {
        End::TimeIsUp(text) => goes_on(console, &text),
        end if is_enabled(&end) == enabled => Ok(Ended::BeforeReversal),
        _ => Ok(Ended::Reversed),
    }
}

/// What came of enabling a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enabled {
    /// It is enabled.
    Yes,
    /// The time was up: it is not, as the transition was reversed.
    Reversed,
    /// The time is up, and the transition goes on.
    NotYet,
}

impl From<Enabled> for Outcome {
    fn from(enabled: Enabled) -> Self {
        match enabled {
            Enabled::Yes => Outcome::Done,
            Enabled::Reversed | Enabled::NotYet => Outcome::TimeIsUp,
        }
    }
}

/// Waits for the end of a transition after which the patch is to be enabled, and tells it.
///
/// # Errors
///
/// As for [`see_through`].
pub(super) fn see_enabled(
    system: &System,
    console: &mut Console,
    name: &str,
    how: &TransitionArgs,
) -> Result<Enabled> {
    let late = match see_through(system, console, name, true, how)? {
        Ended::AsWanted => "",
        Ended::BeforeReversal => ": it was so before it could be reversed",
        Ended::Reversed => return Ok(Enabled::Reversed),
        Ended::GoesOn => return Ok(Enabled::NotYet),
    };
    console.result(&format!("{name} is enabled{late}"))?;
    Ok(Enabled::Yes)
}

fn is_enabled(end: &End) -> bool {
    matches!(end, End::Still(State::Enabled))
}

fn goes_on(console: &mut Console, text: &str) -> Result<Ended> {
    console.note(&format!(
        "the time is up, and the transition goes on: {text}"
    ));
    Ok(Ended::GoesOn)
}
