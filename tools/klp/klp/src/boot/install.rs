// SPDX-License-Identifier: GPL-2.0

//! The commands that change and show what is installed.

use super::{PatchFile, Release, Store};
use crate::object_name::ObjectNameBuf;
use anyhow::{anyhow, bail, Context, Result};
use std::path::PathBuf;

/// Have livepatches loaded at every boot of the kernel that they were made for
///
/// A copy of each is kept, for the kernel release in its module's vermagic: no other kernel
/// loads it. Patches are loaded in the order in which they were installed; one that is installed
/// again is replaced and keeps its place. Nothing is loaded now: see klp-load. At boot it is done
/// by klp boot, which the unit klp.service runs.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// Where the system's root directory is
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The livepatch modules
    #[arg(value_name = "FILE.ko", required = true)]
    files: Vec<PathBuf>,
}

/// No longer have a livepatch loaded at boot
///
/// A patch that is loaded stays loaded: see klp-unload.
#[derive(Debug, clap::Args)]
pub struct UninstallArgs {
    /// Where the system's root directory is
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The kernel whose patch is meant; to be given where several have one of that name
    #[arg(long, value_name = "RELEASE")]
    kernel: Option<String>,

    /// The patch's name, as klp installed shows it
    #[arg(value_name = "NAME")]
    name: String,
}

/// List the livepatches that are loaded at boot, for each kernel in their order
#[derive(Debug, clap::Args)]
pub struct InstalledArgs {
    /// Where the system's root directory is
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// `klp install`
pub fn install(args: &InstallArgs) -> Result<()> {
    let store = Store::new(&args.root);
    let patches = args.files.iter().map(|path| PatchFile::read(path));
    // All are looked at before the first is installed.
    let patches = patches.collect::<Result<Vec<_>>>()?;
    for patch in &patches {
        let (_, replaced) = store.install(patch)?;
        let how = if replaced { "replaced" } else { "installed" };
        println!("{}: {how}, for kernel {}", patch.name, patch.release);
    }
    Ok(())
}

/// `klp uninstall`
pub fn uninstall(args: &UninstallArgs) -> Result<()> {
    let store = Store::new(&args.root);
    let name = ObjectNameBuf::new(args.name.replace('-', "_").as_bytes())
        .map_err(|fault| anyhow!("{}: {fault}", args.name))?;
    let release = match &args.kernel {
        Some(release) => Release::new(release).context("--kernel")?,
        None => {
            let all = store.all()?.into_iter();
            let mut holders = all
                .filter(|(_, entries)| entries.iter().any(|entry| entry.name == name))
                .map(|(release, _)| release);
            match (holders.next(), holders.next()) {
                (Some(release), None) => release,
                (Some(first), Some(second)) => {
                    let all: Vec<_> = [first, second].into_iter().chain(holders).collect();
                    let all: Vec<_> = all.iter().map(Release::to_string).collect();
                    bail!(
                        "{name} is installed for several kernels: say which, with --kernel ({})",
                        all.join(", ")
                    );
                }
                (None, _) => bail!("{name} is not installed (see klp installed)"),
            }
        }
    };
    if !store.uninstall(&release, &name)? {
        bail!("{name} is not installed for kernel {release} (see klp installed)");
    }
    println!("{name}: no longer installed, for kernel {release}");
    Ok(())
}

/// `klp installed`
pub fn installed(args: &InstalledArgs) -> Result<()> {
    for (release, entries) in Store::new(&args.root).all()? {
        for entry in entries {
            println!("{release} {}", entry.name);
        }
    }
    Ok(())
}
