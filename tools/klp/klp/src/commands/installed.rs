// SPDX-License-Identifier: GPL-2.0

//! `klp installed`: lists what is kept for the boot.

use crate::cli::{Context, Outcome};
use crate::console::SCHEMA;
use crate::system::store::{Release, Store};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// List the livepatches that are installed for the running kernel
///
/// Each line has the release of the kernel and the name of a livepatch. They are in the order in
/// which klp boot loads them. In a system without a running kernel, such as an image, the list has
/// the livepatches for all kernels.
#[derive(Debug, clap::Args)]
#[command(after_help = super::ROOT)]
pub struct Args {
    /// List the livepatches for all kernels
    ///
    /// The list shows which kernel is running, and which kernels were removed: these are neither
    /// in /lib/modules nor in /boot.
    #[arg(long)]
    all: bool,

    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    json: bool,
}

/// What is listed.
#[derive(Serialize)]
struct Report {
    /// [`SCHEMA`]
    schema: u32,
    /// Those that have patches.
    kernels: Vec<Kernel>,
}

/// A kernel.
#[derive(Serialize)]
struct Kernel {
    release: String,
    is_running: bool,
    /// Whether it is still there.
    is_installed: bool,
    /// In the order in which they are loaded.
    patches: Vec<Patch>,
}

/// An installed patch.
#[derive(Serialize)]
struct Patch {
    name: String,
    file: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let running = Release::running(&context.system)?;
    let store = Store::of(&context.system);
    let mut kernels = Vec::new();
    for (release, entries) in store.all()? {
        let is_running = running.as_ref() == Some(&release);
        if !is_running && !args.all && running.is_some() {
            continue;
        }
        let patches = entries.into_iter().map(|entry| Patch {
            name: entry.name.to_string(),
            file: entry.path,
        });
        kernels.push(Kernel {
            is_running,
            is_installed: is_running || context.system.has_kernel(release.as_str()),
            release: release.to_string(),
            patches: patches.collect(),
        });
    }
    if args.json {
        let schema = SCHEMA;
        context.console.json(&Report { schema, kernels })?;
        return Ok(Outcome::Done);
    }
    for kernel in &kernels {
        for patch in &kernel.patches {
            let mark = match kernel {
                _ if !args.all => "",
                Kernel {
                    is_running: true, ..
                } => " (running)",
                Kernel {
                    is_installed: false,
                    ..
                } => " (kernel removed)",
                _ => "",
            };
            let line = format!("{} {}{mark}", kernel.release, patch.name);
            context.console.result(&line)?;
        }
    }
    if kernels.is_empty() {
        let text = match &running {
            Some(running) => none_for(&store, running)?,
            None => "no livepatch is installed".to_owned(),
        };
        // A script gets the names, and nothing else.
        context.console.note(&text);
    }
    Ok(Outcome::Done)
}

/// What there is to say where the running kernel has no patches.
pub(super) fn none_for(store: &Store, running: &Release) -> Result<String> {
    let others: usize = store.all()?.iter().map(|(_, entries)| entries.len()).sum();
    Ok(match others {
        0 => "no livepatch is installed".to_owned(),
        _ => format!(
            "no livepatch is installed for kernel {running}, which is running, but {others} for other kernels: 'klp installed --all' lists them"
        ),
    })
}
