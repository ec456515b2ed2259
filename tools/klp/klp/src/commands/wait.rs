// SPDX-License-Identifier: GPL-2.0

//! `klp wait`: waits for the end of transitions.

use super::report::Report;
use super::{completions, find};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::patches::{self, State};
use crate::system::removal;
use crate::transition::interrupt::Interrupted;
use crate::transition::watch::{self, End};
use crate::transition::WaitArgs;
use anyhow::Result;
use clap::Args as ClapArgs;
use std::time::Instant;

/// Wait for the end of a transition
///
/// During the transition, klp shows whether the livepatch is in effect, and which tasks are in the
/// way. At the end, it says whether the livepatch is enabled or disabled; of one that is disabled, the
/// module can then be removed.
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
    let mut how = WaitArgs {
        timeout: args.wait.timeout,
        signal: args.wait.signal,
    };
    if let Some(name) = named {
        find(&context.system, name)?;
    }
    let mut is_over = false;
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
        if let Some(timeout) = args.wait.timeout {
            how.timeout = Some(timeout.saturating_sub(start.elapsed()));
        }
        match watch::wait(context, &name, &how)? {
            End::TimeIsUp(pending) => {
                pending.tell(context, &name, watch::end_of(args.wait.timeout));
                return Ok(Outcome::TimeIsUp);
            }
            End::Still(state @ (State::Enabled | State::Enabling)) => {
                say(args, context, &format!("{name} is {}", state.as_str()))?;
            }
            End::Still(_) | End::Gone => disabled(args, context, &name)?,
        }
        if named.is_some() {
            return Ok(Outcome::Done);
        }
        is_over = true;
    }
}

/// Waits until the kernel has let go of the module of a patch that is disabled.
fn disabled(args: &Args, context: &mut Context, name: &str) -> Result<()> {
    if let Some(why) = removal::settle(&context.system, name) {
        context.console.note(&format!("{name}: {why}"));
    }
    say(args, context, &format!("{name} is disabled"))
}

/// Tells what came of it, unless that is told in JSON.
fn say(args: &Args, context: &mut Context, text: &str) -> Result<()> {
    match args.json {
        true => Ok(()),
        false => context.console.done(text),
    }
}
