// SPDX-License-Identifier: GPL-2.0

//! Waiting for the end of a transition.

use super::interrupt::{self, Interrupted, Watch};
use super::{advice, in_the_way, WaitArgs};
use crate::cli::Context;
use crate::console::elapsed;
use crate::system::blockers::{self, Blockers};
use crate::system::patches::{self, State};
use crate::system::phase::{self, Phase};
use crate::system::{kmsg, System};
use anyhow::Result;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often it is looked whether the transition has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is looked what is in the way.
const LOOK_CLOSELY: Duration = Duration::from_secs(1);
/// Before that nothing is said: most transitions have ended by then.
const PATIENCE: Duration = Duration::from_millis(300);
/// When it is said what can be done, where there is no limit: when the kernel itself has interrupted
/// tasks, so that most transitions have ended. livepatch.ko, which has phases, does that earlier.
const ADVISE: Duration = Duration::from_secs(5);
const ADVISE_WITHOUT_PHASES: Duration = Duration::from_secs(20);
/// How often processes are interrupted.
const INTERRUPT: Duration = Duration::from_secs(5);

/// How the waiting ended.
pub(crate) enum End {
    /// The patch is not in transition.
    Still(State),
    /// There is no such patch any more.
    Gone,
    /// The time was up.
    TimeIsUp(Pending),
}

/// Why it is not waited for any longer than this.
pub(crate) fn end_of(limit: Option<Duration>) -> &'static str {
    match limit {
        Some(Duration::ZERO) => "klp does not wait",
        _ => "the time is up",
    }
}

/// A transition that goes on.
pub(crate) struct Pending {
    /// What is known of it.
    pub text: String,
    /// What can be done about it.
    advice: Vec<String>,
}

impl Pending {
    /// Says why it is not waited for any longer, what goes on in the kernel, and what can be done.
    pub(crate) fn tell(&self, context: &mut Context, patch: &str, why: &str) {
        let text = format!("{why}, and the transition goes on: {}", self.text);
        context.console.note(&text);
        context.console.note(&format!(
            "It ends by itself when no task is in the way any more. 'klp status {patch}' names these tasks, and 'klp wait {patch}' waits for the end."
        ));
        for line in &self.advice {
            context.console.note(line);
        }
    }
}

/// Waits until the patch is not in transition.
///
/// # Errors
///
/// [`Interrupted`] where the user does not want to wait any longer.
pub(crate) fn wait(context: &mut Context, patch: &str, how: &WaitArgs) -> Result<End> {
    let _watch = Watch::begin();
    let start = Instant::now();
    // It may have begun long before.
    let before = age(&context.system, patch);
    let mut looked: Option<Instant> = None;
    let mut interrupted: Option<Instant> = None;
    let mut told = None;
    let mut is_advised = false;
    loop {
        match patches::state(&context.system, patch)? {
            None => return Ok(End::Gone),
            Some(state) if !state.is_transition() => return Ok(End::Still(state)),
            Some(_) => {}
        }
        let waited = start.elapsed();
        let time_is_up = how.timeout.is_some_and(|timeout| waited >= timeout);
        let is_interrupted = interrupt::received();
        let period = match told {
            // The switch comes within a moment.
            Some(Phase::Waiting) => LOOK,
            _ => LOOK_CLOSELY,
        };
        let look = looked.map_or(waited >= PATIENCE, |looked| looked.elapsed() >= period);
        if look || time_is_up || is_interrupted {
            looked = Some(Instant::now());
            let Some(current) = patches::one(&context.system, patch)? else {
                return Ok(End::Gone);
            };
            // What has just ended waits for nobody.
            if !current.state.is_transition() {
                return Ok(End::Still(current.state));
            }
            let phase = phase::of(&context.system, patch);
            let blockers = blockers::of(&context.system, &current);
            let time = before.map_or(waited, |before| before.saturating_add(waited));
            let text = format!(
                "{patch}: {} for {}, {}",
                current.state.as_str(),
                elapsed(time),
                in_the_way::line(current.state, phase, &blockers)
            );
            let unknown = Blockers::default();
            let advice = || advice::lines(&current, blockers.as_ref().unwrap_or(&unknown));
            if time_is_up || is_interrupted {
                let pending = Pending {
                    text,
                    advice: advice(),
                };
                if time_is_up {
                    return Ok(End::TimeIsUp(pending));
                }
                pending.tell(context, patch, "interrupted");
                return Err(Interrupted.into());
            }
            context.console.progress(&text, phase != told);
            told = phase;
            // Nothing else would tell it before the end.
            let is_endless = how.timeout.is_none_or(|timeout| timeout == Duration::MAX);
            let advise = phase.map_or(ADVISE_WITHOUT_PHASES, |_| ADVISE);
            if is_endless && !is_advised && waited >= advise {
                for line in advice() {
                    context.console.note(&line);
                }
                is_advised = true;
            }
            let again = interrupted.is_none_or(|time| time.elapsed() >= INTERRUPT);
            // Before the switch it would be in vain.
            let is_time = again && phase != Some(Phase::Waiting);
            if let (true, true, Ok(blockers)) = (how.signal, is_time, &blockers) {
                if !blockers::interrupt(&context.system, blockers).is_empty() {
                    interrupted = Some(Instant::now());
                }
            }
        }
        sleep(LOOK);
    }
}

/// How long the patch has been in transition, where the kernel's log still has the beginning.
pub(crate) fn age(system: &System, patch: &str) -> Option<Duration> {
    system
        .now()?
        .checked_sub(kmsg::transition_began(system, patch)?)
}
