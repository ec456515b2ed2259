// SPDX-License-Identifier: GPL-2.0

//! The source files that a fix changes, and where each of them is in the kernel.

use super::affected;
use super::args::Args;
use super::command::PartOf;
use super::compile::Compiled;
use super::inputs;
use super::kdir::Kdir;
use super::proof::{self, Outcome, Placement, Target};
use super::report::Status;
use super::shared;
use super::stop::Stop;
use super::tree::Tree;
use crate::knowledge::Knowledge;
use anyhow::{anyhow, Context, Result};
use klp_diff::Numbered;
use std::path::Path;

/// A source file that is affected, and what is known of it.
pub struct File {
    /// Its object, and why it is affected.
    pub unit: affected::Unit,
    /// What the object is linked into.
    pub part_of: PartOf,
    /// Its objects.
    pub compiled: Compiled,
    /// Where its symbols are.
    pub placement: Placement,
    /// Its numbered static variables.
    pub numbered: Numbered,
    /// How many of its functions are the same in the kernel; `None` if that was not looked at.
    pub proven: Option<usize>,
}

impl File {
    /// Its path in the source.
    pub fn path(&self) -> &Path {
        self.unit.record.command.source()
    }

    /// What its symbols are taken from.
    pub fn symbols(&self) -> shared::Unit<'_> {
        shared::Unit {
            object: self.part_of.name(),
            path: self.path(),
            before: &self.compiled.before,
            after: &self.compiled.after,
        }
    }
}

/// Compares what was compiled with the kernel, and with target modules, which are added to
/// `knowledge`. What the kernel has nothing of is left out; `leave_out` is told of it.
///
/// # Errors
///
/// A file is not what the kernel was made of.
pub fn place(
    args: &Args,
    kdir: &Kdir,
    tree: &Tree,
    knowledge: &mut Knowledge,
    units: Vec<affected::Unit>,
    compiled: Vec<Option<Compiled>>,
    mut leave_out: impl FnMut(String),
) -> Result<Vec<File>, Stop> {
    let mut files = Vec::new();
    for (unit, compiled) in units.into_iter().zip(compiled) {
        // Its object is the same before and after.
        let Some(compiled) = compiled else {
            continue;
        };
        let part_of = unit.record.command.part_of()?;
        inputs::add_target(args, kdir, tree, knowledge, &part_of)?;
        let path = unit.record.command.source().to_owned();
        match prove(args, knowledge, &part_of, &path, &compiled.as_built)? {
            Some((placement, proven)) => {
                let numbered = Numbered::of(&compiled.as_built, &compiled.before)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                files.push(File {
                    unit,
                    part_of,
                    compiled,
                    placement,
                    numbered,
                    proven,
                });
            }
            None => leave_out(format!(
                "{} is left out: {} has nothing of it",
                path.display(),
                match &part_of {
                    PartOf::Vmlinux => "the kernel",
                    PartOf::Module { name, .. } => name,
                }
            )),
        }
    }
    Ok(files)
}

/// Where a file is in the kernel or in its module, and how many of its functions are the same there;
/// `None` if nothing of it is there.
fn prove(
    args: &Args,
    knowledge: &Knowledge,
    part_of: &PartOf,
    path: &Path,
    as_built: &[u8],
) -> Result<Option<(Placement, Option<usize>)>, Stop> {
    let shown = path.display();
    let object = part_of.name();
    let known = knowledge
        .get(object.as_bytes())
        .with_context(|| format!("nothing is known of {object}"))?;
    let target = match known.module() {
        Some(file) => Target::of_module(file)?,
        None => Target::of_kernel(&known.symbols, known.memory()),
    };
    let outcome =
        proof::prove(as_built, &target).with_context(|| format!("cannot read {shown}"))?;
    let not_proven = |why: String| {
        let error = anyhow!("{shown} is not what {object} was made of: {why}");
        Stop::new(Status::NotProven)(error)
    };
    Ok(match outcome {
        Outcome::Proven {
            functions,
            placement,
            ..
        } => Some((placement, Some(functions))),
        Outcome::NotThere => None,
        Outcome::Unproven { placement } | Outcome::Different { placement, .. } if args.no_proof => {
            Some((placement, None))
        }
        Outcome::Unproven { .. } => {
            return Err(not_proven(
                "that cannot be seen from a list of symbols; give its vmlinux or boot image with \
                 --kernel, or --no-proof"
                    .to_owned(),
            ))
        }
        Outcome::Different { mismatch, .. } => return Err(not_proven(mismatch.to_string())),
    })
}
