// SPDX-License-Identifier: GPL-2.0

//! `klp uninstall`: takes a patch out of what is kept for the boot.

use super::completions;
use crate::cli::{Context, Outcome};
use crate::file::module_file::name_of_argument;
use crate::object_name::ObjectNameBuf;
use crate::system::store::{Release, Store};
use anyhow::{anyhow, bail, Context as _, Result};

/// No longer have a livepatch loaded at boot
///
/// A patch that is loaded stays loaded: klp unload takes it out of the running kernel.
#[derive(Debug, clap::Args)]
#[command(after_help = super::ROOT)]
pub struct Args {
    /// The kernel whose patch is meant; to be given where several have one of that name
    #[arg(long, value_name = "RELEASE")]
    kernel: Option<String>,

    /// The patch, as klp installed shows it, or its file
    #[arg(value_name = "NAME", add = completions::installed())]
    name: String,
}

/// Runs the command.
pub fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let store = Store::of(&context.system);
    let name = ObjectNameBuf::new(name_of_argument(&args.name).as_bytes())
        .map_err(|fault| anyhow!("{}: {fault}", args.name))?;
    let release = match &args.kernel {
        Some(release) => Release::new(release).context("--kernel")?,
        None => only_holder(&store, &name)?,
    };
    if !store.uninstall(&release, &name)? {
        bail!("{name} is not installed for kernel {release}: 'klp installed' lists what is");
    }
    let text = format!("{name} is no longer installed, for kernel {release}");
    context.console.result(&text)?;
    Ok(Outcome::Done)
}

/// The one kernel that a patch of this name is installed for.
fn only_holder(store: &Store, name: &ObjectNameBuf) -> Result<Release> {
    let all = store.all()?.into_iter();
    let mut holders: Vec<_> = all
        .filter(|(_, entries)| entries.iter().any(|entry| entry.name == *name))
        .map(|(release, _)| release)
        .collect();
    if holders.len() > 1 {
        let all: Vec<_> = holders.iter().map(Release::to_string).collect();
        bail!(
            "{name} is installed for several kernels: say which, with --kernel ({})",
            all.join(", ")
        );
    }
    holders
        .pop()
        .with_context(|| format!("{name} is not installed: 'klp installed' lists what is"))
}
