// SPDX-License-Identifier: GPL-2.0

//! Where the file of a module is that a fix is for.

use super::kdir::Kdir;
use crate::knowledge::Knowledge;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// How modules are compressed that are installed.
const SUFFIXES: [&str; 4] = ["", ".xz", ".zst", ".gz"];

/// The files that are given and are of no module that the fix is for.
pub fn unused<'a>(given: &'a [PathBuf], knowledge: &Knowledge) -> Vec<&'a Path> {
    let is_used =
        |file: &&PathBuf| name(file).is_some_and(|name| knowledge.get(name.as_bytes()).is_some());
    let unused = given.iter().filter(|file| !is_used(file));
    unused.map(PathBuf::as_path).collect()
}

/// The name that a module of this file has in the kernel.
fn name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let (name, _) = name.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

/// Finds the file of the module `wanted`: among those that are given, where modules are installed, or
/// below the directory in which it was `built`. It is `installed`, if depmod does not list it, there
/// below `/lib/modules/RELEASE`; what is made of sources in several directories is in one above that.
///
/// # Errors
///
/// It is nowhere.
pub fn find(
    kdir: &Kdir,
    given: &[PathBuf],
    wanted: &str,
    built: Option<&PathBuf>,
    installed: &Path,
) -> Result<PathBuf> {
    if let Some(file) = given
        .iter()
        .find(|file| name(file).as_deref() == Some(wanted))
    {
        return Ok(file.clone());
    }
    let modules = kdir.modules();
    let file = installed.file_name().unwrap_or_default();
    let directories = installed.ancestors().skip(1);
    let files = directories.flat_map(|directory| {
        let built = built.map(|built| {
            let below = directory
                .strip_prefix("kernel")
                .or(directory.strip_prefix("updates"));
            built.join(below.unwrap_or(directory)).join(file)
        });
        built
            .into_iter()
            .chain([modules.join(directory).join(file)])
    });
    let with_suffixes = files.flat_map(|file| {
        SUFFIXES.map(|suffix| {
            let mut name = file.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        })
    });
    let listed = || {
        let text = fs::read_to_string(modules.join("modules.dep")).ok()?;
        let mut files = text.lines().filter_map(|line| line.split(':').next());
        let found = files.find(|file| name(Path::new(file)).as_deref() == Some(wanted))?;
        Some(modules.join(found))
    };
    // What depmod has found is what is loaded: a file in updates/ comes before the kernel's own.
    listed()
        .into_iter()
        .chain(with_suffixes)
        .find(|file| file.is_file())
        .with_context(|| {
            format!(
                "the fix is for the module {wanted}, and its file is not below {}: give it with \
                 --module, in a file of that name",
                modules.display()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::write;
    use livepatch_format::elf::Machine;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_the_kernels() {
        let of = |file| name(Path::new(file));
        assert_eq!(of("a/snd-hda.ko.xz").as_deref(), Some("snd_hda"));
        assert_eq!(of("ext4.ko").as_deref(), Some("ext4"));
        assert_eq!(of("ext4"), None);
    }

    #[test]
    fn a_file_that_is_called_otherwise_is_not_used() {
        let given = ["thing.ko", "thing-old.ko", "thing"].map(PathBuf::from);
        let mut knowledge = Knowledge::default();
        assert_eq!(unused(&given, &knowledge).len(), 3);
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("thing.ko");
        let module = livepatch_fixtures::Module::new(livepatch_fixtures::Arch::X86_64, "thing");
        let built = module.source("thing.c", "int thing;").build();
        fs::write(&file, built).expect("it is written");
        knowledge
            .add_module(&file, Machine::X86_64, &mut BTreeSet::new())
            .expect("it is a module");
        let unused = unused(&given, &knowledge);
        assert_eq!(unused, [Path::new("thing-old.ko"), Path::new("thing")]);
    }

    #[test]
    fn a_module_is_where_depmod_says_or_above_its_sources() {
        let directory = tempfile::tempdir().expect("a directory");
        let modules = directory.path().join("lib/modules/7.3.4");
        let build = modules.join("build");
        write(&build.join("include/config/kernel.release"), "7.3.4\n");
        write(&build.join("include/config/auto.conf"), "CONFIG_S390=y\n");
        let kdir = Kdir::open(&build).expect("it is prepared");
        let find = |given: &[PathBuf], built: Option<&PathBuf>, installed: &str| {
            find(&kdir, given, "a_b", built, Path::new(installed))
        };
        let installed = "kernel/fs/ab/lib/a-b.ko";
        let error = find(&[], Some(&build), installed).expect_err("it is nowhere");
        assert!(
            error.to_string().contains("give it with --module"),
            "{error}"
        );
        let file = |path: PathBuf| {
            write(&path, "");
            path
        };
        let above = file(build.join("fs/ab/a-b.ko"));
        assert_eq!(find(&[], Some(&build), installed).unwrap(), above);
        // It is not looked for where it was built.
        find(&[], None, installed).expect_err("it is not installed");
        let below = file(modules.join("kernel/fs/ab/a-b.ko.xz"));
        assert_eq!(find(&[], None, installed).unwrap(), below);
        let update = file(modules.join("updates/dkms/a-b.ko.zst"));
        write(
            &modules.join("modules.dep"),
            "updates/dkms/a-b.ko.zst: x.ko\n",
        );
        assert_eq!(find(&[], Some(&build), installed).unwrap(), update);
        let given = [PathBuf::from("elsewhere/a_b.ko")];
        assert_eq!(find(&given, Some(&build), installed).unwrap(), given[0]);
    }
}
