// SPDX-License-Identifier: GPL-2.0

//! `klp uninstall`: takes patches out of what is kept for the boot.

use super::completions;
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::object_name::ObjectNameBuf;
use crate::system::store::{Entry, Release, Store};
use crate::system::System;
use anyhow::{anyhow, bail, Context as _, Result};

/// Uninstall livepatches, which are then no longer loaded at boot
///
/// A livepatch that is loaded stays loaded: klp unload removes it from the running kernel.
#[derive(Debug, clap::Args)]
#[command(after_help = super::ROOT)]
pub struct Args {
    /// Uninstall livepatches for the kernel with this release, not for the running one
    #[arg(long, value_name = "RELEASE", add = completions::releases())]
    kernel: Option<String>,

    /// All livepatches for this kernel
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// The livepatches, by their names in the list of klp installed, or their files
    #[arg(value_name = "NAME", required_unless_present = "all", add = completions::installed())]
    names: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let store = Store::of(&context.system);
    let mut names = args.names()?;
    let release = match &args.kernel {
        Some(release) => Release::new(release).context("--kernel")?,
        None => kernel(&context.system, &store, &names)?,
    };
    let entries = store.entries(&release)?;
    if args.all {
        names = entries.iter().map(|entry| entry.name.clone()).collect();
        if names.is_empty() {
            let text = format!("no livepatch is installed for kernel {release}");
            context.console.done(&text)?;
        }
    }
    // All are looked for before the first is removed.
    for name in &names {
        if !has(&entries, name) {
            bail!("{}", not_installed(&store, name, &release)?);
        }
    }
    for name in &names {
        store.uninstall(&release, name)?;
        let text = format!("{name} is no longer installed for kernel {release}");
        context.console.done(&text)?;
    }
    Ok(Outcome::Done)
}

impl Args {
    /// The patches that are named.
    fn names(&self) -> Result<Vec<ObjectNameBuf>> {
        let named = self.names.iter().map(|one| {
            ObjectNameBuf::new(name_of_argument(one).as_bytes())
                .map_err(|fault| anyhow!("{one}: {fault}"))
        });
        named.collect()
    }
}

/// The kernel that is meant where none is named: the running one, or where none runs the only
/// one that has any of these patches. No names are all.
fn kernel(system: &System, store: &Store, names: &[ObjectNameBuf]) -> Result<Release> {
    if let Some(running) = Release::running(system)? {
        return Ok(running);
    }
    let mut holders = holders(store, names)?;
    if holders.len() > 1 {
        bail!(
            "there are patches for several kernels: name one with --kernel ({})",
            listed(&holders)
        );
    }
    holders.pop().with_context(|| match names {
        [name, ..] => format!("{name} is not installed"),
        [] => "no livepatch is installed".to_owned(),
    })
}

/// The kernels that have any of these patches; no names are all.
fn holders(store: &Store, names: &[ObjectNameBuf]) -> Result<Vec<Release>> {
    let all = store.all()?.into_iter();
    let has_any = |entries: &[Entry]| names.is_empty() || names.iter().any(|one| has(entries, one));
    Ok(all
        .filter(|(_, entries)| has_any(entries))
        .map(|(release, _)| release)
        .collect())
}

fn has(entries: &[Entry], name: &ObjectNameBuf) -> bool {
    entries.iter().any(|entry| entry.name == *name)
}

/// What there is to say of a patch that is not installed for a kernel.
fn not_installed(store: &Store, name: &ObjectNameBuf, release: &Release) -> Result<String> {
    let holders = holders(store, std::slice::from_ref(name))?;
    Ok(match holders[..] {
        [] => format!("{name} is not installed: 'klp installed --all' lists what is"),
        _ => format!(
            "{name} is not installed for kernel {release}, but for others: name one with --kernel ({})",
            listed(&holders)
        ),
    })
}

fn listed(releases: &[Release]) -> String {
    let all: Vec<_> = releases.iter().map(Release::as_str).collect();
    all.join(", ")
}
