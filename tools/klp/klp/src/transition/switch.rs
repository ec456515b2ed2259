// SPDX-License-Identifier: GPL-2.0

//! Seeing a transition through: waiting for its end, and turning it round if it takes too long.

use super::watch::{self, end_of, End, Pending};
use super::{set_enabled, TransitionArgs, WaitArgs};
use crate::cli::{Context, Outcome};
use crate::system::patches::State;
use anyhow::{bail, Result};

/// How a transition ended.
pub(crate) enum Ended {
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
pub(crate) fn see_through(
    context: &mut Context,
    name: &str,
    enabled: bool,
    how: &TransitionArgs,
) -> Result<Ended> {
    let wait = how.limited();
    let pending = match watch::wait(context, name, &wait)? {
        End::TimeIsUp(pending) => pending,
        end if is_enabled(&end) == enabled => return Ok(Ended::AsWanted),
        _ if enabled => {
            bail!("{name} was disabled, or replaced, by somebody else while it was being enabled")
        }
        _ => bail!("{name} was enabled by somebody else while it was being disabled"),
    };
    if !how.reverse {
        return Ok(goes_on(context, name, &pending, &wait));
    }
    context.console.note(&format!(
        "{}, and the transition is reversed: {}",
        end_of(wait.timeout),
        pending.text
    ));
    set_enabled(&context.system, name, !enabled)?;
    match watch::wait(context, name, &wait)? {
        End::TimeIsUp(pending) => Ok(goes_on(context, name, &pending, &wait)),
        end if is_enabled(&end) == enabled => Ok(Ended::BeforeReversal),
        _ => Ok(Ended::Reversed),
    }
}

/// What came of enabling a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enabled {
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
pub(crate) fn see_enabled(
    context: &mut Context,
    name: &str,
    how: &TransitionArgs,
) -> Result<Enabled> {
    let late = match see_through(context, name, true, how)? {
        Ended::AsWanted => "",
        Ended::BeforeReversal => ": it was so before it could be reversed",
        Ended::Reversed => return Ok(Enabled::Reversed),
        Ended::GoesOn => return Ok(Enabled::NotYet),
    };
    context.console.done(&format!("{name} is enabled{late}"))?;
    Ok(Enabled::Yes)
}

fn is_enabled(end: &End) -> bool {
    matches!(end, End::Still(State::Enabled))
}

fn goes_on(context: &mut Context, name: &str, pending: &Pending, how: &WaitArgs) -> Ended {
    pending.tell(context, name, end_of(how.timeout));
    Ended::GoesOn
}
