// SPDX-License-Identifier: GPL-2.0

//! Modules that are not in the kernel's source: a directory that kbuild takes as `M=`.
//!
//! If they were built there for this kernel, records of that are beside the sources. Else kbuild
//! builds them in a copy. Since Linux 6.13 its commands run in the directory of the modules, before
//! that in the kernel's build directory, and name everything of the modules by its whole path.

use super::command::{object_of, record_of};
use super::fingerprint;
use super::kdir::{self, Kdir};
use super::lock;
use super::make;
use super::tree::{Of, Tree};
use anyhow::{Context, Result};
use memchr::memmem;
use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

/// What the makefile of such a directory can be called.
const MAKEFILES: [&str; 2] = ["Kbuild", "Makefile"];

/// What says which files a copy was built of.
const STAMP: &str = ".klp-built";

/// What kbuild makes of modules in their directory, and no source.
const MADE: [&str; 2] = ["modules.order", "Module.symvers"];

/// Whether a directory may be that of modules. One that modules are built against has a makefile, too.
pub fn is_module(directory: &Path) -> bool {
    let has = |name: &&str| directory.join(name).is_file();
    MAKEFILES.iter().any(has) && !kdir::is_prepared(directory)
}

/// The modules in `source` with records of how they are compiled. What is built for that is below
/// `cache`; `begin` is called before, and `wait` if another build does it just now. While the file is open where there is one, nobody else builds
/// there.
///
/// # Errors
///
/// kbuild cannot build them.
pub fn tree(
    source: &Path,
    kdir: &Kdir,
    cache: &Path,
    jobs: usize,
    wait: impl FnOnce(),
    begin: impl FnOnce(),
) -> Result<(Tree, Option<File>)> {
    if let Some(recorded) = recorded(source, kdir)? {
        return Ok((recorded_tree(source, kdir, recorded, false), None));
    }
    let mut hasher = DefaultHasher::new();
    (source, &kdir.path, &kdir.release, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    // make splits what has a space in it.
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let directory = cache.join(format!("{name}-{:016x}", hasher.finish()));
    let cannot = || format!("cannot write to {}", directory.display());
    fs::create_dir_all(&directory).with_context(cannot)?;
    let lock = lock::create(&directory.join(".klp-lock"), cannot, wait)?;
    begin();

    let stamp = [
        fingerprint::of(source, &[".git"], true)?,
        fingerprint::of(&kdir.path.join("include"), &[], false)?,
    ]
    .join("\n");
    let copy = directory.join("source");
    let stamped = directory.join(STAMP);
    let clear = || {
        [&stamped, &copy].into_iter().try_for_each(|old| {
            remove(old).with_context(|| format!("cannot remove {}", old.display()))
        })
    };
    if fs::read_to_string(&stamped).ok().as_ref() != Some(&stamp) {
        clear()?;
    }
    let make = || -> Result<Tree> {
        if !copy.is_dir() {
            copy_sources(source, &copy)?;
        }
        // Also where it was made before, perhaps with other options: kbuild sees that.
        build(source, &copy, kdir, jobs)?;
        fs::write(&stamped, &stamp).with_context(cannot)?;
        let recorded = recorded(&copy, kdir)?.with_context(|| {
            format!(
                "kbuild has built no module for {} of {}",
                kdir.release,
                source.display()
            )
        })?;
        Ok(recorded_tree(&copy, kdir, recorded, true))
    };
    let made = make();
    if made.is_err() {
        // Half of it is of no use.
        let _ = clear();
    }
    Ok((made?, Some(lock)))
}

/// What tells the symbols that the modules of a directory export to each other.
pub fn symvers(tree: &Tree) -> Option<PathBuf> {
    let path = tree.source.join("Module.symvers");
    (tree.of != Of::Kernel && path.is_file()).then_some(path)
}

/// Has kbuild build the modules of `source` in the copy.
fn build(source: &Path, copy: &Path, kdir: &Kdir, jobs: usize) -> Result<()> {
    let mut command = make::make(&kdir.path, kdir.machine, &kdir.config, None);
    command
        .arg(format!("M={}", copy.display()))
        // What other modules export is of no interest before the livepatch is linked.
        .arg("KBUILD_MODPOST_WARN=1")
        .arg(format!("-j{jobs}"));
    // __FILE__ is a part of the code.
    let built_in = built_in(source);
    if !built_in.to_string_lossy().contains(char::is_whitespace) {
        let flags = env::var("KCFLAGS").unwrap_or_default();
        let map = format!(
            "-fmacro-prefix-map={}={}",
            copy.display(),
            built_in.display()
        );
        command.arg(format!("KCFLAGS={flags} {map}"));
    }
    command.arg("modules");
    let what = format!("build the modules of {} in a copy", source.display());
    make::run(&mut command, &what)
}

/// Where the records of a directory are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// In the directory itself.
    Here,
    /// In the kernel's build directory, with whole paths.
    InKernel,
}

/// How modules were built in the directory, if all of them were, and for this kernel.
fn recorded(source: &Path, kdir: &Kdir) -> Result<Option<Recorded>> {
    let vermagic = format!("vermagic={} ", kdir.release);
    let (mut found, mut has_modules) = (None, false);
    for entry in entries(source) {
        let cannot = || format!("cannot read {}", source.display());
        let entry = entry.with_context(cannot)?;
        let path = entry.path();
        // What has no record was not built here: it is kept here, or a livepatch.
        if is_linked(path) && has_record(path) {
            // No other file tells the kernel's release.
            if memmem::find(&fs::read(path).with_context(cannot)?, vermagic.as_bytes()).is_none() {
                return Ok(None);
            }
            has_modules = true;
        }
        let Some(object) = object_of(path) else {
            continue;
        };
        let text = fs::read(path).with_context(cannot)?;
        let is_named = |name: &Path| {
            let name = format!("cmd_{} := ", name.display());
            memmem::find(&text, name.as_bytes()).is_some()
        };
        let inside = object.strip_prefix(source).unwrap_or(&object);
        let how = match (is_named(inside), is_named(&object)) {
            (true, _) => Recorded::Here,
            (_, true) => Recorded::InKernel,
            // The directory had another name.
            _ => return Ok(None),
        };
        if found.is_some_and(|found| found != how) {
            return Ok(None);
        }
        found = Some(how);
    }
    Ok(found.filter(|_| has_modules))
}

/// What the directory has, also by way of symbolic links.
fn entries(source: &Path) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> {
    let walk = walkdir::WalkDir::new(source).follow_links(true);
    walk.into_iter()
        .filter_entry(|entry| entry.depth() != 1 || entry.file_name() != ".git")
        .filter(|entry| !entry.as_ref().is_err_and(leads_nowhere))
}

/// Whether it is a symbolic link to what is not there, such as those with which editors lock files, or
/// to where it is.
pub(super) fn leads_nowhere(error: &walkdir::Error) -> bool {
    let is_missing = error
        .io_error()
        .is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
    let is_link = || error.path().is_some_and(Path::is_symlink);
    error.loop_ancestor().is_some() || is_missing && is_link()
}

/// The tree of a directory with records.
fn recorded_tree(source: &Path, kdir: &Kdir, recorded: Recorded, is_copy: bool) -> Tree {
    Tree {
        source: source.to_owned(),
        build: match recorded {
            Recorded::Here => source.to_owned(),
            Recorded::InKernel => kdir.path.clone(),
        },
        kernel: kdir.path.clone(),
        of: Of::Module { is_copy },
        machine: kdir.machine,
    }
}

/// Copies what the modules are made of, with its times.
fn copy_sources(source: &Path, copy: &Path) -> Result<()> {
    for entry in entries(source) {
        let entry = entry.with_context(|| format!("cannot read {}", source.display()))?;
        let path = entry.path();
        let to = copy.join(path.strip_prefix(source).unwrap_or(path));
        let cannot = || format!("cannot copy {} to {}", path.display(), to.display());
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to).with_context(cannot)?;
        } else if entry.file_type().is_file() && !is_made(path) {
            fs::copy(path, &to).with_context(cannot)?;
            let time = entry.metadata().with_context(cannot)?.modified();
            time.and_then(|time| File::options().write(true).open(&to)?.set_modified(time))
                .with_context(cannot)?;
        }
    }
    Ok(())
}

/// Whether kbuild has made the file, for another kernel.
fn is_made(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_record = name.starts_with('.') && name.ends_with(".cmd");
    is_record || MADE.contains(&name) || is_linked(path) || has_record(path)
}

/// Whether it is a module, which nothing else is made of.
pub(super) fn is_linked(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("ko"))
}

/// Whether kbuild has made the file where it is.
fn has_record(path: &Path) -> bool {
    record_of(path).is_file()
}

/// Where the modules that are loaded were built: DKMS does it in a place of its own, of what is in
/// `/usr/src/NAME-VERSION`.
fn built_in(source: &Path) -> PathBuf {
    let dkms = || {
        let text = fs::read_to_string(source.join("dkms.conf")).ok()?;
        let value = |name: &str| {
            let mut lines = text.lines();
            let line = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned())
        };
        let (name, version) = (value("PACKAGE_NAME")?, value("PACKAGE_VERSION")?);
        let is_its = source.file_name() == Some(OsStr::new(&format!("{name}-{version}")));
        let build = Path::new("/var/lib/dkms").join(name).join(version);
        is_its.then(|| build.join("build"))
    };
    dkms().unwrap_or_else(|| source.to_owned())
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout};
    use std::os::unix::fs::symlink;

    #[test]
    fn modules_may_export_to_each_other() {
        let kernel = Kernel::new(Layout::Apart);
        let mut tree = kernel.tree.clone();
        let path = tree.source.join("Module.symvers");
        for is_copy in [false, true] {
            tree.of = Of::Module { is_copy };
            assert_eq!(symvers(&tree), path.is_file().then(|| path.clone()));
            write(&path, "");
        }
        // That of a kernel is in its build directory.
        tree.of = Of::Kernel;
        assert_eq!(symvers(&tree), None);
    }

    #[test]
    fn what_modules_are_built_against_is_no_module() {
        let directory = tempfile::tempdir().expect("a directory");
        write(&directory.path().join("Makefile"), "obj-m := x.o\n");
        assert!(is_module(directory.path()));
        let release = directory.path().join("include/config/kernel.release");
        write(&release, "7.3.4\n");
        assert!(!is_module(directory.path()));
    }

    #[test]
    fn dkms_builds_elsewhere() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("thing-1.2");
        write(
            &source.join("dkms.conf"),
            "PACKAGE_NAME=\"thing\"\nPACKAGE_VERSION='1.2'\nMAKE=x\n",
        );
        assert_eq!(
            built_in(&source),
            Path::new("/var/lib/dkms/thing/1.2/build")
        );
        let other = directory.path().join("elsewhere");
        fs::rename(&source, &other).expect("it is renamed");
        assert_eq!(built_in(&other), other);
    }

    #[test]
    fn records_count_that_are_of_this_kernel_and_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        write(&path("kdir/include/config/kernel.release"), "7.3.4\n");
        write(&path("kdir/include/config/auto.conf"), "CONFIG_X86_64=y\n");
        let kdir = Kdir::open(&path("kdir")).expect("it is prepared");
        let source = path("source");
        let found = || recorded(&source, &kdir).expect("it can be read");
        write(&source.join("sub/a.c"), "");
        assert_eq!(found(), None);
        let record = |name: &str| {
            let text = format!("savedcmd_{name} := gcc -c -o {name} a.c\n");
            write(&source.join("sub/.a.o.cmd"), &text);
        };
        let module = |release: &str| {
            let text = format!("x\0vermagic={release} SMP\0");
            write(&source.join("thing.ko"), &text);
            write(&source.join(".thing.ko.cmd"), "");
        };
        record("sub/a.o");
        assert_eq!(found(), None);
        module("7.3.4");
        assert_eq!(found(), Some(Recorded::Here));
        module("7.3.4-other");
        assert_eq!(found(), None);
        module("7.3.4");
        // A livepatch for another kernel, or a module that is only kept there.
        write(&source.join("kept.ko"), "x\0vermagic=6.12.107 SMP\0");
        assert_eq!(found(), Some(Recorded::Here));
        record(&source.join("sub/a.o").display().to_string());
        assert_eq!(found(), Some(Recorded::InKernel));
        record("/another/source/sub/a.o");
        assert_eq!(found(), None);
    }

    #[test]
    fn a_copy_has_sources_with_their_times() {
        let directory = tempfile::tempdir().expect("a directory");
        let (source, copy) = (
            directory.path().join("source"),
            directory.path().join("copy"),
        );
        for name in [
            "Makefile",
            "a.c",
            "a.o",
            ".a.o.cmd",
            "blob.o",
            "kept.ko",
            "sub/b.c",
            ".git/x",
            "modules.order",
        ] {
            write(&source.join(name), name);
        }
        // An editor has a file of it open.
        symlink("someone@somewhere", source.join("sub/.#b.c")).expect("a link");
        symlink("..", source.join("sub/up")).expect("a link");
        fingerprint::of(&source, &[], true).expect("it can be read");
        copy_sources(&source, &copy).expect("it is copied");
        let mut names: Vec<_> = entries(&copy)
            .map(|entry| entry.expect("it can be read"))
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.path().strip_prefix(&copy).unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["Makefile", "a.c", "blob.o", "sub/b.c"].map(PathBuf::from)
        );
        let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).unwrap();
        assert_eq!(time(&source.join("a.c")), time(&copy.join("a.c")));
    }
}
