// SPDX-License-Identifier: GPL-2.0

//! `klp wait`: waits for the end of transitions.

use super::disable::tell_hold;
use super::report::Report;
use super::{completions, find};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::patches::{self, State};
use crate::transition::interrupt::Interrupted;
use crate::transition::watch::{self, End};
use crate::transition::WaitArgs;
use anyhow::Result;
use clap::Args as ClapArgs;
use std::time::{Duration, Instant};

/// Wait for the end of a transition
///
/// During the transition, klp shows whether the livepatch is in effect, and which tasks are in the
/// way. At the end, it says whether the livepatch is enabled or disabled. The module of one that is
/// disabled can then be removed, unless klp says what keeps it.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS_OF_WAITING)]
pub struct Args {
    /// The livepatch, or its file; without it, klp waits until no livepatch is in transition
    #[arg(value_name = "NAME", add = completions::loaded())]
    pub patch: Option<String>,

    /// At the end, print what klp status --json prints
    #[arg(long)]
    pub json: bool,

    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Waits for transitions in the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    if args.wait.signal {
        context.system.need_root("wait --signal")?;
    }
    let named = args.patch.as_deref().map(name_of_argument);
    let outcome = wait(args, named.as_deref(), context);
    let is_over = outcome
        .as_ref()
        .map_or_else(|error| error.is::<Interrupted>(), |_| true);
    if args.json && is_over {
        let report = Report::new(context, named.as_deref(), true)?;
        context.console.json(&report)?;
    }
    outcome
}

fn wait(args: &Args, named: Option<&str>, context: &mut Context) -> Result<Outcome> {
    let start = Instant::now();
    let limit = args.wait.timeout.unwrap_or(Duration::MAX);
    let rest = || match limit {
        Duration::MAX => limit,
        _ => limit.saturating_sub(start.elapsed()),
    };
    let mut is_over = false;
    if let Some(name) = named {
        let state = find(&context.system, name)?;
        if state == State::Disabled {
            // It may be so since a moment.
            tell_hold(context, name, rest());
        }
        if !state.is_transition() {
            say(args, context, &format!("{name} is {}", state.as_str()))?;
            return Ok(Outcome::Done);
        }
    }
    loop {
        let name = match named {
            Some(name) => name.to_owned(),
            None => match patches::in_transition(&context.system, "")? {
                Some(name) => name,
                None if is_over => return Ok(Outcome::Done),
                None => {
                    say(args, context, "no livepatch is in transition")?;
                    return Ok(Outcome::Done);
                }
            },
        };
        let how = WaitArgs {
            timeout: Some(rest()),
            signal: args.wait.signal,
        };
        match watch::wait(context, &name, &how)? {
            End::TimeIsUp(pending) => {
                pending.tell(context, &name, watch::end_of(args.wait.timeout));
                return Ok(Outcome::TimeIsUp);
            }
            End::Still(State::Enabled) => say(args, context, &format!("{name} is enabled"))?,
            End::Still(_) | End::Gone => {
                tell_hold(context, &name, rest());
                say(args, context, &format!("{name} is disabled"))?;
            }
        }
        if named.is_some() {
            return Ok(Outcome::Done);
        }
        is_over = true;
    }
}

/// Tells what came of it, unless that is told in JSON.
fn say(args: &Args, context: &mut Context, text: &str) -> Result<()> {
    match args.json {
        true => Ok(()),
        false => context.console.done(text),
    }
}
