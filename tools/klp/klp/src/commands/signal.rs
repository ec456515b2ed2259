// SPDX-License-Identifier: GPL-2.0

//! `klp signal`: interrupts the tasks that are in the way of a transition.

use super::{completions, find};
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::system::blockers::{self, Blockers};
use crate::system::is_gone;
use crate::system::{patches, phase};
use crate::transition::{advice, in_the_way};
use anyhow::{anyhow, bail, Result};

/// Interrupt the tasks that are in the way of a transition, once
///
/// klp sends SIGSTOP to their processes, and SIGCONT right after it. A task that sleeps and can be
/// interrupted then leaves the function that it is in. No signal gets a task out of the way that sleeps
/// uninterruptibly or is stopped, or a kernel thread: klp leaves these alone, and says of each what
/// does. Right after the beginning of a transition, before anything has switched, klp waits for that
/// first: a task that leaves earlier may come back into the same function. The option --signal of the
/// commands that wait does this every 5 seconds. If the kernel offers a file 'signal' for the livepatch
/// (Linux 4.15 to 5.0), klp writes to that instead, and the kernel interrupts the tasks.
#[derive(Debug, clap::Args)]
#[command(after_help = super::STATUS)]
pub struct Args {
    /// The livepatch, or its file; without it, the one that is in transition
    #[arg(value_name = "NAME", add = completions::loaded())]
    pub patch: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    context.system.need_root("signal")?;
    let name = match &args.patch {
        Some(patch) => name_of_argument(patch),
        None => match patches::in_transition(&context.system, "")? {
            Some(name) => name,
            None => {
                context.console.done("no livepatch is in transition")?;
                return Ok(Outcome::Done);
            }
        },
    };
    if !find(&context.system, &name)?.is_transition() {
        bail!("{name} is not in transition: no task is in the way");
    }
    phase::wait_for_switch(&context.system, &name);
    match patches::write(&context.system, &name, "signal", "1") {
        Ok(()) => {
            let text = format!("the kernel has interrupted the tasks in the way of {name}");
            context.console.done(&text)?;
            return Ok(Outcome::Done);
        }
        Err(error) if is_gone(&error) => {}
        Err(error) => bail!("the kernel does not interrupt the tasks in the way: {error}"),
    }
    let patch = patches::one(&context.system, &name)?;
    let Some(patch) = patch.filter(|patch| patch.state.is_transition()) else {
        context
            .console
            .done(&format!("the transition of {name} has ended"))?;
        return Ok(Outcome::Done);
    };
    let blockers = blockers::of(&context.system, &patch)
        .map_err(|error| anyhow!("what is in the way of {name} is not known: {error}"))?;
    if blockers.tasks.is_empty() {
        context
            .console
            .done(&format!("no task is seen in the way of {name}"))?;
        return Ok(Outcome::Done);
    }
    let done = blockers::interrupt(&context.system, &blockers);
    let told = |is_done: bool| {
        let tasks = blockers.tasks.iter();
        let tasks = tasks.filter(|task| done.contains(&task.pid) == is_done);
        tasks.map(in_the_way::task).collect::<Vec<_>>().join("; ")
    };
    if done.len() < blockers.tasks.len() {
        context
            .console
            .note(&format!("not interrupted: {}", told(false)));
        // What was interrupted has left, or will be in the way again.
        let others = Blockers {
            tasks: blockers
                .tasks
                .iter()
                .filter(|task| !done.contains(&task.pid))
                .cloned()
                .collect(),
            more: 0,
        };
        for line in advice::lines(&patch, &others) {
            context.console.note(&line);
        }
    }
    if done.is_empty() {
        bail!("no task in the way of {name} was interrupted");
    }
    context
        .console
        .done(&format!("interrupted: {}", told(true)))?;
    Ok(Outcome::Done)
}
