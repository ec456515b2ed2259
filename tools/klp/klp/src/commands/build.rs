// SPDX-License-Identifier: GPL-2.0

//! `klp build`: makes a livepatch of a source diff.

use crate::build::interrupt;
use crate::build::progress::Progress;
use crate::build::report::{Report, Status};
use crate::build::stop::Stop;
use crate::cli::{Context, Outcome};
use anyhow::Result;

pub use crate::build::Args;

/// Runs the command.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let mut report = Report::default();
    let progress = Progress::new(args.quiet);
    interrupt::watch()?;
    let stopped = crate::build::build(args, &mut report, &progress).err();
    drop(progress);
    if stopped.is_some() {
        interrupt::end_if_received();
    }
    if let Some(Stop { status, error }) = &stopped {
        report.status = *status;
        report.message = format!("{error:#}");
    }
    if args.json {
        context.console.json(&report)?;
    } else {
        if args.list || matches!(report.status, Status::Refused) {
            context.console.write_with(|out| report.write(out))?;
        }
        match &stopped {
            Some(_) => context.console.note(&format!("error: {}", report.message)),
            None if !args.quiet => context.console.result(&report.message)?,
            None => {}
        }
    }
    Ok(match stopped {
        Some(_) => Outcome::Failed,
        None => Outcome::Done,
    })
}
