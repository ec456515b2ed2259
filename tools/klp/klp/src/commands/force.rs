// SPDX-License-Identifier: GPL-2.0

//! `klp force`: ends a transition without waiting for who is in the way.

use super::{completions, find};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::patches::{self, Patch, State};
use crate::system::support::{Core, MODULE};
use crate::system::System;
use crate::transition::watch::{self, End};
use crate::transition::{advice, WaitArgs};
use anyhow::{bail, Context as _, Result};
use clap::Args as ClapArgs;
use std::io::ErrorKind;
use std::time::Duration;

/// How long the kernel may take to end it.
const PATIENCE: Duration = Duration::from_secs(10);

/// End a transition without waiting for the tasks that are in the way
///
/// They go on in the old version of the functions, while all others call the new one: whether
/// that is safe is for the author of the patch to say. Until the next boot, the patches that this
/// takes out of effect can be neither unloaded nor loaded again, and livepatch.ko cannot be removed: klp
/// says which patches these are. It asks first; where it cannot, it wants --yes.
#[derive(Debug, ClapArgs)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The patch, or its file; without it, the one that is in transition
    #[arg(value_name = "NAME", add = completions::loaded())]
    pub patch: Option<String>,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Ends a transition in the system.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("force")?;
    let name = match &args.patch {
        Some(patch) => name_of_argument(patch),
        None => patches::in_transition(&context.system, "")?
            .context("no livepatch is in transition: there is nothing to force")?,
    };
    find(&context.system, &name)?;
    let patch = patches::one(&context.system, &name)?
        .filter(|patch| patch.state.is_transition())
        .with_context(|| format!("{name} is not in transition: there is nothing to force"))?;
    context.console.note(&format!(
        "To force {name}: {}",
        advice::costs_of_force(&patch)
    ));
    let stays = stay(&context.system, &patch)?;
    if !stays.is_empty() {
        let core = match Core::detect(&context.system)? {
            Core::Module { .. } => format!(", and {MODULE}.ko with them"),
            _ => String::new(),
        };
        context.console.note(&format!(
            "The kernel would keep these modules{core}, and take no other build under their names: {}",
            stays.join(", ")
        ));
    }
    if patch.state == State::Disabling {
        context.console.note(&format!(
            "'klp enable {name}' keeps the patch in effect instead."
        ));
    }
    if !args.yes {
        match context.console.ask("Type yes to force it:")?.as_deref() {
            Some("yes") => {}
            Some(_) => bail!("nothing was done: the answer was not 'yes'"),
            None => bail!("nothing was done: without a terminal to ask on, --yes is needed"),
        }
    }
    // It may have taken its time to answer.
    let state = patches::state(&context.system, &name)?;
    if state.is_some_and(State::is_transition) && state != Some(patch.state) {
        bail!("nothing was done: somebody has reversed the transition of {name} meanwhile");
    }
    let mut ended = false;
    if let Err(error) = patches::write(&context.system, &name, "force", "1") {
        ended = !patches::state(&context.system, &name)?.is_some_and(State::is_transition);
        if !ended && error.kind() == ErrorKind::ResourceBusy {
            bail!("{name} cannot be forced: the module of a patch that this would take out of effect is still being inserted, or goes away");
        }
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
    if !(ended || stays.is_empty()) {
        context
            .console
            .note(&format!("kept until the next boot: {}", stays.join(", ")));
    }
    Ok(Outcome::Done)
}

/// Whether a patch was enabled before another one, as far as the kernel tells.
fn is_earlier(one: &Patch, other: &Patch) -> bool {
    match (one.stack_order, other.stack_order) {
        (Some(one), Some(other)) => one < other,
        _ => true,
    }
}

/// The patches whose modules can never be removed once the transition of this one was forced.
fn stay(system: &System, patch: &Patch) -> Result<Vec<String>> {
    Ok(match patch.state {
        State::Disabling => vec![patch.name.clone()],
        _ if patch.replace == Some(true) => patches::all(system)?
            .into_iter()
            .filter(|one| one.name != patch.name && is_earlier(one, patch))
            .map(|one| one.name)
            .collect(),
        _ => Vec::new(),
    })
}
