// SPDX-License-Identifier: GPL-2.0

//! What is known of the kernel before anything is compiled.

use super::args::Args;
use super::command::PartOf;
use super::kdir::Kdir;
use super::modules;
use super::tree::{Of, Tree};
use crate::knowledge::Knowledge;
use crate::object_name::ObjectNameBuf;
use crate::symvers::Symvers;
use anyhow::{anyhow, ensure, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What livepatch.ko exports (`rust/exports.c`), to kernels that have no livepatch support.
const API: [&str; 9] = [
    "klp_enable_patch",
    "klp_find_section_by_name",
    "klp_get_prev_state",
    "klp_get_state",
    "klp_shadow_alloc",
    "klp_shadow_free",
    "klp_shadow_free_all",
    "klp_shadow_get",
    "klp_shadow_get_or_alloc",
];

/// Refuses kernels of which a single file cannot be made again.
pub fn suits(kdir: &Kdir) -> Result<()> {
    let refused = [
        (
            "LTO_CLANG",
            "is built with link time optimisation: its functions are made when all files are known",
        ),
        (
            "GCC_PLUGIN_LATENT_ENTROPY",
            "has random numbers in its code, which are not the same again",
        ),
    ];
    for (option, why) in refused {
        ensure!(
            !kdir.config.is_set(option),
            "the kernel {} {why} (CONFIG_{option})",
            kdir.release
        );
    }
    ensure!(
        kdir.is_build() || !kdir.config.is_set("RANDSTRUCT"),
        "the kernel {} has structures in a random order (CONFIG_RANDSTRUCT), which only the \
         directory that it was built in tells: give that with --kdir",
        kdir.release
    );
    Ok(())
}

/// What is known of the kernel, without target modules.
pub fn knowledge(args: &Args, kdir: &Kdir, others: &[PathBuf]) -> Result<Knowledge> {
    let mut knowledge = Knowledge::default();
    match &args.kernel {
        Some(path) => knowledge.add_kernel(path, kdir.machine)?,
        None => {
            let there = kdir.kernels().into_iter().filter(|path| path.is_file());
            let mut failure = None;
            let mut is_read = false;
            for path in there {
                match knowledge.add_kernel(&path, kdir.machine) {
                    Ok(()) => {
                        is_read = true;
                        break;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if !is_read {
                let missing = anyhow!(
                    "the kernel {} itself is not here, neither its vmlinux nor its boot image",
                    kdir.release
                );
                return Err(failure
                    .unwrap_or(missing)
                    .context("give the kernel with --kernel"));
            }
        }
    }
    let own = kdir.path.join("Module.symvers");
    ensure!(
        own.is_file(),
        "{} has no Module.symvers, so that it is not known what the kernel exports",
        kdir.path.display()
    );
    knowledge.add_symvers(&own)?;
    for path in others {
        knowledge.add_symvers(path)?;
    }
    let symvers = knowledge.symvers.get_or_insert_with(Symvers::default);
    if symvers.exporter(b"klp_enable_patch").is_none() {
        ensure!(
            !kdir.config.is_set("MODVERSIONS"),
            "the kernel {} has no livepatch support of its own, and checks versions of symbols: \
             build livepatch.ko, then give its Module.symvers with --symvers",
            kdir.release
        );
        symvers.assume("livepatch", &API);
    }
    Ok(knowledge)
}

/// What tells exported symbols beside the kernel's own: what is given, and what is found of
/// livepatch.ko.
pub fn other_symvers(args: &Args, kdir: &Kdir, livepatch: &Path) -> Vec<PathBuf> {
    let of_livepatch = [
        livepatch.join("Module.symvers"),
        Path::new("/var/lib/livepatch-rs")
            .join(&kdir.release)
            .join("Module.symvers"),
    ];
    let found = of_livepatch.into_iter().filter(|path| {
        let is_needed = !kdir.config.is_set("LIVEPATCH") && args.symvers.is_empty();
        is_needed && path.is_file()
    });
    args.symvers.iter().cloned().chain(found).collect()
}

/// Adds a target module, of which `tree` has the source, to what is known.
pub fn add_target(
    args: &Args,
    kdir: &Kdir,
    tree: &Tree,
    knowledge: &mut Knowledge,
    part_of: &PartOf,
) -> Result<()> {
    let PartOf::Module { name, file } = part_of else {
        return Ok(());
    };
    if knowledge.get(name.as_bytes()).is_some() {
        return Ok(());
    }
    let built = match tree.of {
        Of::Kernel => Some(&kdir.path),
        Of::Module { is_copy: false } => Some(&tree.source),
        // What was built in the copy is not what is loaded.
        Of::Module { is_copy: true } => None,
    };
    let file = match tree.of {
        Of::Kernel => file.clone(),
        Of::Module { .. } => {
            let below = file.strip_prefix("kernel").unwrap_or(file);
            let below = below.strip_prefix(&tree.source).unwrap_or(below);
            Path::new("updates").join(below)
        }
    };
    let path = modules::find(kdir, &args.module, name, built, &file)?;
    let mut given: BTreeSet<ObjectNameBuf> = BTreeSet::new();
    knowledge.add_module(&path, kdir.machine, &mut given)?;
    ensure!(
        knowledge.get(name.as_bytes()).is_some(),
        "{} is not the module {name}, for which the fix is",
        path.display()
    );
    Ok(())
}
