// SPDX-License-Identifier: GPL-2.0

//! `klp force`: ends a transition without waiting for who is in the way.

use super::{completions, find, Found};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::patches::{self, State};
use crate::transition::watch::{self, End};
use crate::transition::WaitArgs;
use anyhow::{bail, Result};
use clap::Args as ClapArgs;
use std::time::Duration;

/// How long the kernel may take to end it.
const PATIENCE: Duration = Duration::from_secs(10);

/// End a transition without waiting for the tasks that are in the way
///
/// They go on in the old version of the functions, while all others call the new one: whether
/// that is safe is for the author of the patch to say. The modules of patches that this takes out
/// of effect can never be removed. It asks first; where it cannot, it wants --yes.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The patch, or its file
    #[arg(value_name = "NAME", add = completions::loaded())]
    pub patch: String,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Ends a transition in the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("force")?;
    let name = name_of_argument(&args.patch);
    let Found::Patch(state @ (State::Enabling | State::Disabling)) = find(&context.system, &name)?
    else {
        bail!("{name} is not in transition: there is nothing to force");
    };
    let replaces =
        patches::one(&context.system, &name)?.is_some_and(|patch| patch.replace == Some(true));
    context.console.note(&consequence(&name, state, replaces));
    if !args.yes {
        match context.console.ask("Type yes to force it:")?.as_deref() {
            Some("yes") => {}
            Some(_) => bail!("nothing was done"),
            None => bail!("nothing was done: without a terminal to ask on, --yes is needed"),
        }
    }
    if let Err(error) = patches::write(&context.system, &name, "force", "1") {
        let ended = !patches::state(&context.system, &name)?.is_some_and(State::is_transition);
        if !ended {
            bail!("{name} cannot be forced: {error}");
        }
        context.console.note("the transition has ended by itself");
    }
    let wait = WaitArgs {
        timeout: Some(PATIENCE),
        signal: false,
    };
    match watch::wait(context, &name, &wait)? {
        End::Still(State::Enabled) => context.console.done(&format!("{name} is enabled"))?,
        End::Still(_) | End::Gone => context.console.done(&format!("{name} is disabled"))?,
        End::TimeIsUp(pending) => bail!(
            "the transition was forced, but has not ended: {}",
            pending.text
        ),
    }
    Ok(Outcome::Done)
}

fn consequence(name: &str, state: State, replaces: bool) -> String {
    let (from, to) = match state {
        State::Disabling => ("the patch's", "the original"),
        _ => ("the original", "the patch's"),
    };
    let mut text = format!(
        "Forcing {name}: tasks in the way go on in {from} functions while all others call {to} ones."
    );
    if state == State::Disabling {
        text.push_str(" The module of this patch can never be removed.");
    } else if replaces {
        text.push_str(" The modules of the patches that it replaces can never be removed.");
    }
    text
}
