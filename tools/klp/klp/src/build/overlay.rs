// SPDX-License-Identifier: GPL-2.0

//! The source tree as a fix leaves it, beside the user's.
//!
//! An overlay is a directory of symbolic links to the source, in which only the files that differ
//! and the directories on the way to them are real. A compiler that is called with its path finds
//! everything there, under the same names.

use super::kbuild::source_arch;
use super::lines;
use super::path::normal;
use super::process;
use super::tree::{Of, Tree};
use anyhow::{bail, ensure, Context, Result};
use livepatch_format::elf::Machine;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

/// What a file that a fix changes means for the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A C file: compiled, or included by others.
    C,
    /// A header.
    Header,
    /// It is no part of the kernel that is patched, for this reason.
    Ignored(&'static str),
}

/// A file that the fixes change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// From the source tree.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Whether it is new.
    pub is_new: bool,
    /// Whether it is deleted, or renamed.
    pub is_deleted: bool,
}

/// The source tree as the fixes leave it.
#[derive(Debug)]
pub struct Overlay {
    source: PathBuf,
    root: PathBuf,
    patched: PathBuf,
    changed: Vec<Changed>,
    /// Directories that are no links, from the root.
    real: BTreeSet<PathBuf>,
}

impl Overlay {
    /// Applies `fixes`, one after the other, to a copy of the files that they change. `scratch` is a
    /// directory for this overlay alone; it has to stay as long as the overlay is used.
    ///
    /// # Errors
    ///
    /// If a fix does not apply, or changes what a livepatch cannot change.
    pub fn new(tree: &Tree, fixes: &[PathBuf], scratch: &Path) -> Result<Self> {
        let scratch = scratch
            .canonicalize()
            .with_context(|| format!("cannot find {}", scratch.display()))?;
        let patched = scratch.join("patched");
        create(&patched)?;
        let mut named = BTreeSet::new();
        for fix in fixes {
            apply(fix, &tree.source, &patched, &mut named)?;
        }
        let changed = compare(tree, &patched, &named)?;

        let mut real = BTreeSet::from([PathBuf::new()]);
        let code = changed.iter().filter(|file| file.is_code());
        real.extend(code.flat_map(|file| file.path.ancestors().skip(1).map(Path::to_owned)));
        // Where the build directory is in the source, a command may lead from the one to the other.
        if let Ok(build) = tree.build.strip_prefix(&tree.source) {
            real.extend(build.ancestors().map(Path::to_owned));
        }
        let overlay = Overlay {
            source: tree.source.clone(),
            root: scratch.join("source"),
            patched,
            changed,
            real,
        };
        create(&overlay.root)?;
        overlay.fill(Path::new(""))?;
        overlay.write(true)?;
        Ok(overlay)
    }

    /// The directory that stands for the source tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files that the fixes change.
    pub fn changed(&self) -> &[Changed] {
        &self.changed
    }

    /// The changed file that `dependency`, an absolute path in this overlay, turns out to be in the
    /// source, unchanged. That is where a directory is a link, and an included file was named by
    /// way of its parent.
    pub fn missed(&self, dependency: &Path) -> Option<&Changed> {
        let file = dependency.canonicalize().ok()?;
        let path = file.strip_prefix(&self.source).ok()?;
        self.changed
            .iter()
            .find(|changed| changed.is_code() && changed.path == path)
    }

    /// Makes real the directories by whose way a file was found. Whether there was one that was not.
    pub fn deepen(&mut self, dependency: &Path) -> Result<bool> {
        let mut grown = false;
        let mut way = PathBuf::new();
        for component in dependency.components() {
            if component == Component::ParentDir {
                let directory = normal(&way);
                if let Ok(directory) = directory.strip_prefix(&self.root) {
                    grown |= self.make_real(directory)?;
                }
            }
            way.push(component);
        }
        Ok(grown)
    }

    fn make_real(&mut self, directory: &Path) -> Result<bool> {
        let mut ancestors: Vec<_> = directory.ancestors().collect();
        ancestors.reverse();
        let mut grown = false;
        for directory in ancestors {
            if self.real.insert(directory.to_owned()) {
                grown = true;
                let path = self.root.join(directory);
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
                create(&path)?;
                self.fill(directory)?;
            }
        }
        Ok(grown)
    }

    /// Takes the `#line` directives out again, for messages with the lines of the patched files.
    pub fn without_lines(&self) -> Result<()> {
        self.write(false)
    }

    /// Links what a real directory has.
    fn fill(&self, directory: &Path) -> Result<()> {
        let path = self.source.join(directory);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // The fix makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| cannot_read(&path)),
        };
        for entry in entries {
            let name = entry.with_context(|| cannot_read(&path))?.file_name();
            let inside = directory.join(&name);
            let to = self.root.join(&inside);
            if self.real.contains(&inside) {
                create(&to)?;
                self.fill(&inside)?;
            } else if !self.replaces(&inside) {
                symlink(self.source.join(&inside), &to)
                    .with_context(|| format!("cannot make the link {}", to.display()))?;
            }
        }
        Ok(())
    }

    fn replaces(&self, path: &Path) -> bool {
        self.changed
            .iter()
            .any(|file| file.is_code() && file.path == path)
    }

    /// Writes the changed files, if wanted with `#line` directives.
    fn write(&self, with_lines: bool) -> Result<()> {
        for file in &self.changed {
            if !file.is_code() || file.is_deleted {
                continue;
            }
            let mut text = read(&self.patched.join(&file.path))?;
            if with_lines && !file.is_new {
                text = lines::keep(&read(&self.source.join(&file.path))?, &text);
            }
            let to = self.root.join(&file.path);
            to.parent().map_or(Ok(()), create)?;
            fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(())
    }
}

impl Changed {
    /// Whether a compiler may read it.
    pub fn is_code(&self) -> bool {
        matches!(self.kind, Kind::C | Kind::Header)
    }
}

fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| cannot_read(path))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

/// Applies one fix in `patched`. `named` are the files of the source that are in there already, or
/// are not in the source.
fn apply(fix: &Path, source: &Path, patched: &Path, named: &mut BTreeSet<PathBuf>) -> Result<()> {
    let text = read(fix)?;
    let fix_name = fix.display();
    for path in files_of(&text).with_context(|| format!("cannot use {fix_name}"))? {
        if !named.insert(path.clone()) {
            continue;
        }
        let original = source.join(&path);
        // Only what is in the tree itself: git refuses the rest, too.
        match original.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => {}
            Ok(metadata) if metadata.is_symlink() => {
                bail!("{fix_name} changes {}, a symbolic link", path.display())
            }
            _ => continue,
        }
        ensure!(
            original.canonicalize().is_ok_and(|real| real == original),
            "{fix_name} changes {}, which is behind a symbolic link",
            path.display()
        );
        let copy = patched.join(&path);
        copy.parent().map_or(Ok(()), create)?;
        fs::copy(&original, &copy).with_context(|| format!("cannot copy {}", path.display()))?;
    }

    let fix = fix.canonicalize().with_context(|| cannot_read(fix))?;
    let output = git_apply(patched, &fix, &[])?;
    if output.status.success() {
        return Ok(());
    }
    let reverse = git_apply(patched, &fix, &["--reverse", "--check"])?;
    if reverse.status.success() {
        bail!("{fix_name} is applied already in {}", source.display());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!(
        "{fix_name} does not apply to {}: {}",
        source.display(),
        why_not(&said)
    )
}

/// `git apply` in a directory that is no repository and knows of none.
fn git_apply(directory: &Path, fix: &Path, flags: &[&str]) -> Result<Output> {
    let mut git = Command::new("git");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(variable);
    }
    git.current_dir(directory)
        .env(
            "GIT_CEILING_DIRECTORIES",
            directory.parent().unwrap_or(directory),
        )
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["apply", "-p1", "--whitespace=nowarn"])
        .args(flags)
        .arg("--")
        .arg(fix);
    process::output(&mut git, || {
        "klp build applies fixes with git apply: install git".to_owned()
    })
}

/// What git complains about, for one message.
fn why_not(said: &str) -> String {
    let errors: Vec<_> = said
        .lines()
        .filter_map(|line| line.strip_prefix("error: "))
        .collect();
    let failed: Vec<_> = errors
        .iter()
        .filter_map(|error| {
            let (file, line) = error.strip_prefix("patch failed: ")?.rsplit_once(':')?;
            Some(format!(
                "{file} does not have what the hunk for its line {line} changes"
            ))
        })
        .collect();
    if !failed.is_empty() {
        return failed.join("; ");
    }
    match errors.as_slice() {
        [] => said.trim().to_owned(),
        errors
            if errors
                .iter()
                .any(|error| error.contains("No valid patches")) =>
        {
            "it has no diff in it".to_owned()
        }
        errors => errors.join("; "),
    }
}

/// The files that a diff may change. A line of a commit message that only looks like a header adds
/// a file that does not differ afterwards.
fn files_of(diff: &[u8]) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for line in String::from_utf8_lossy(diff).lines() {
        if line == "GIT binary patch"
            || (line.starts_with("Binary files ") && line.ends_with(" differ"))
        {
            bail!("it changes a binary file");
        }
        let with_prefix = ["--- ", "+++ "]
            .iter()
            .find_map(|header| line.strip_prefix(header))
            .or_else(|| both(line.strip_prefix("diff --git ")?))
            .map(|name| name.split('\t').next().unwrap_or(name))
            .and_then(|name| name.split_once('/'))
            .map(|(_, name)| name);
        let bare = ["rename from ", "rename to ", "copy from ", "copy to "]
            .iter()
            .find_map(|header| line.strip_prefix(header));
        let Some(name) = with_prefix.or(bare) else {
            continue;
        };
        let path = Path::new(name.trim_end());
        let is_inside = path
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        if is_inside && !name.is_empty() {
            files.insert(path.to_owned());
        }
    }
    Ok(files)
}

/// Of `a/NAME b/NAME` the first half.
fn both(names: &str) -> Option<&str> {
    let half = names.len().checked_sub(1)? / 2;
    let (one, other) = (names.get(..half)?, names.get(half + 1..)?);
    (one.split_once('/')?.1 == other.split_once('/')?.1).then_some(one)
}

/// What differs from the source, in the order of paths.
fn compare(tree: &Tree, patched: &Path, named: &BTreeSet<PathBuf>) -> Result<Vec<Changed>> {
    let mut changed = Vec::new();
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut paths = named.clone();
    for entry in walkdir::WalkDir::new(patched) {
        let entry = entry.context("cannot read what the fix has made")?;
        if entry.file_type().is_symlink() {
            let path = entry.path().strip_prefix(patched).unwrap_or(entry.path());
            bail!("the fix makes a symbolic link: {}", path.display());
        }
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(patched).unwrap_or(entry.path());
            paths.insert(path.to_owned());
        }
    }
    for path in paths {
        let original = read_if_there(&tree.source.join(&path))?;
        let result = read_if_there(&patched.join(&path))?;
        if original == result {
            continue;
        }
        match classify(&path, tree) {
            Ok(kind) => changed.push(Changed {
                kind,
                is_new: original.is_none(),
                is_deleted: result.is_none(),
                path,
            }),
            Err(why) => refused
                .entry(why)
                .or_default()
                .push(path.display().to_string()),
        }
    }
    if !refused.is_empty() {
        let refused: Vec<_> = refused
            .iter()
            .map(|(why, files)| format!("{}: {why}", files.join(", ")))
            .collect();
        bail!(
            "a livepatch cannot do what the fix does. {}",
            refused.join("; ")
        );
    }
    Ok(changed)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| cannot_read(path)),
    }
}

/// What a file of the source is; an error says why a livepatch cannot change it.
fn classify(path: &Path, tree: &Tree) -> Result<Kind, &'static str> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let by_place = match tree.of {
        Of::Kernel => in_kernel(path, tree.machine)?,
        Of::Module { .. } => beside_module(path),
    };
    match by_place {
        Some(kind) => Ok(kind),
        None => by_name(path, name),
    }
}

/// What a file is by its place in the kernel's source, where that decides.
fn in_kernel(path: &Path, machine: Machine) -> Result<Option<Kind>, &'static str> {
    let parts: Vec<_> = path.iter().filter_map(OsStr::to_str).collect();
    let arch = source_arch(machine);
    Ok(Some(Kind::Ignored(match parts.as_slice() {
        ["Documentation" | "LICENSES", ..] => "documentation",
        // The kernel includes some of their files.
        ["tools", .., last] if !last.ends_with(".c") && !last.ends_with(".h") => {
            "a program, no part of the kernel"
        }
        ["samples", ..] => "a sample",
        ["arch", other, _, ..] if *other != arch => "another architecture's",
        // The files are compiled with the generic one in its place, before and after the fix.
        ["arch", _, "include", "asm", "runtime-const.h"] => {
            return Err("code with constants that the kernel writes at boot cannot be livepatched")
        }
        ["usr" | "scripts", .., last] if !is_text(last) => {
            return Err("it is a part of how the kernel is built")
        }
        ["MAINTAINERS" | "CREDITS" | "COPYING"] => "documentation",
        _ => return Ok(None),
    })))
}

/// What a file is by its place beside the source of a module.
fn beside_module(path: &Path) -> Option<Kind> {
    let parts: Vec<_> = path.iter().filter_map(OsStr::to_str).collect();
    let what = match parts.as_slice() {
        ["Documentation" | "LICENSES", ..] => "documentation",
        ["MAINTAINERS" | "CREDITS" | "COPYING" | "LICENSE" | "ChangeLog"] => "documentation",
        ["dkms.conf"] | ["debian", ..] => "it is for packages",
        _ => return None,
    };
    Some(Kind::Ignored(what))
}

/// What a file is by its name.
fn by_name(path: &Path, name: &str) -> Result<Kind, &'static str> {
    let begins = |beginning: &str| {
        let rest = name.strip_prefix(beginning);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if begins("Kconfig") {
        return Err("it changes the configuration, which a livepatch cannot");
    }
    if ["Makefile", "Kbuild", "Platform"].into_iter().any(begins) {
        return Err("it changes what is built and how, which a livepatch cannot");
    }
    if is_text(name) {
        return Ok(Kind::Ignored("documentation"));
    }
    match path.extension().and_then(OsStr::to_str) {
        Some("c") => Ok(Kind::C),
        Some("h") => Ok(Kind::Header),
        Some("S" | "s") if name.ends_with(".lds.S") => Err("a linker script cannot be livepatched"),
        Some("S" | "s") => Err("assembly cannot be livepatched"),
        Some("lds") => Err("a linker script cannot be livepatched"),
        Some("rs") => Err("Rust code is not supported by klp build"),
        Some("dts" | "dtsi" | "dtso") => Ok(Kind::Ignored("a device tree")),
        Some("config" | "defconfig") => Ok(Kind::Ignored("a configuration to start from")),
        _ if name.ends_with("defconfig") => Ok(Kind::Ignored("a configuration to start from")),
        _ => Err("it is neither a C file nor a header"),
    }
}

/// Whether it is for people, by its name.
fn is_text(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("rst" | "txt" | "md" | "yaml"))
        || name.starts_with("README")
        || name == "TODO"
        || matches!(name, ".gitignore" | ".mailmap" | ".gitattributes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout, LAYOUTS, ONE};

    fn overlay(kernel: &Kernel, fixes: &[PathBuf]) -> Result<Overlay> {
        let scratch = kernel.scratch("scratch");
        fs::remove_dir_all(&scratch).expect("it goes away");
        Overlay::new(&kernel.tree, fixes, &kernel.scratch("scratch"))
    }

    fn refusal(kernel: &Kernel, fix: PathBuf) -> String {
        let error = overlay(kernel, &[fix]).expect_err("it is refused");
        format!("{error:#}")
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("it is text")
    }

    /// All files below a directory, with their contents.
    fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        walkdir::WalkDir::new(directory)
            .into_iter()
            .map(|entry| entry.expect("it can be read"))
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                (
                    entry.path().to_owned(),
                    fs::read(entry.path()).expect("it is there"),
                )
            })
            .collect()
    }

    #[test]
    fn only_what_differs_is_real_and_the_source_stays_as_it_is() {
        for layout in LAYOUTS {
            let kernel = Kernel::built(layout);
            let before = snapshot(&kernel.tree.source);
            let fix = kernel.fix(
                "fix.patch",
                &[
                    ("fs/one.c", "int first", "int added;\nint first"),
                    ("fs/new/file.h", "", "#define NEW\n"),
                    ("fs/part.c", "", ""),
                ],
            );
            let overlay = overlay(&kernel, &[fix]).expect("it applies");
            let root = overlay.root();
            assert_eq!(
                text(&root.join("fs/one.c")),
                ONE.replace("int first", "int added;\n#line 9\nint first")
            );
            assert_eq!(text(&root.join("fs/new/file.h")), "#define NEW\n");
            assert!(!root.join("fs/part.c").exists());
            assert!(root.join("fs/deep").is_symlink() && root.join("mm").is_symlink());
            assert!(root.join("fs/two.c").is_symlink());
            // What is generated is found from where a command with relative paths runs.
            if let Ok(build) = kernel.tree.build.strip_prefix(&kernel.tree.source) {
                let generated = root.join(build).join("include/generated/config.h");
                assert!(text(&generated).contains("CONFIGURED"), "{layout:?}");
            }
            assert_eq!(snapshot(&kernel.tree.source), before, "{layout:?}");

            let changed: Vec<_> = overlay
                .changed()
                .iter()
                .map(|file| {
                    (
                        file.path.to_str().expect("text"),
                        file.kind,
                        file.is_new,
                        file.is_deleted,
                    )
                })
                .collect();
            assert_eq!(
                changed,
                [
                    ("fs/new/file.h", Kind::Header, true, false),
                    ("fs/one.c", Kind::C, false, false),
                    ("fs/part.c", Kind::C, false, true),
                ]
            );
            overlay.without_lines().expect("it can be written");
            assert!(!text(&root.join("fs/one.c")).contains("#line"));
        }
    }

    #[test]
    fn a_renamed_file_is_deleted_and_new() {
        let kernel = Kernel::new(Layout::Apart);
        let fix = kernel.text_fix(
            "fix.patch",
            "diff --git a/fs/near.h b/fs/far.h\nsimilarity index 100%\nrename from fs/near.h\nrename to fs/far.h\n",
        );
        let overlay = overlay(&kernel, &[fix]).expect("it applies");
        assert_eq!(text(&overlay.root().join("fs/far.h")), "#define NEAR 7\n");
        let paths: Vec<_> = overlay
            .changed()
            .iter()
            .map(|file| (file.path.clone(), file.is_new))
            .collect();
        assert_eq!(
            paths,
            [("fs/far.h".into(), true), ("fs/near.h".into(), false)]
        );
    }

    #[test]
    fn fixes_apply_one_after_the_other_also_within_a_repository() {
        let kernel = Kernel::new(Layout::Apart);
        let one = kernel.fix("one.patch", &[("fs/part.c", "5", "6")]);
        write(
            &kernel.tree.source.join("fs/part.c"),
            "int part(void) { return 6; }\n",
        );
        let two = kernel.fix("two.patch", &[("fs/part.c", "6", "7")]);
        write(
            &kernel.tree.source.join("fs/part.c"),
            "int part(void) { return 5; }\n",
        );
        // In a repository, git apply skips what is not below the directory that it runs in.
        let scratch = kernel.scratch("repository");
        let init = Command::new("git")
            .arg("init")
            .current_dir(&scratch)
            .output();
        assert!(init.expect("git runs").status.success());
        let inside = scratch.join("inside");
        create(&inside).expect("a directory");
        let overlay =
            Overlay::new(&kernel.tree, &[one.clone(), two.clone()], &inside).expect("they apply");
        assert_eq!(
            text(&overlay.root().join("fs/part.c")),
            "int part(void) { return 7; }\n"
        );
        let message = refusal(&kernel, two);
        assert!(message.contains("two.patch does not apply"), "{message}");
        let scratch = kernel.scratch("other");
        let error =
            Overlay::new(&kernel.tree, &[one.clone(), one], &scratch).expect_err("it is refused");
        assert!(
            error.to_string().contains("one.patch is applied already"),
            "{error}"
        );
    }

    #[test]
    fn a_fix_may_be_found_some_lines_away() {
        let kernel = Kernel::new(Layout::Apart);
        let fix = kernel.fix(
            "fix.patch",
            &[("fs/one.c", "return thing(x)", "return 2 * thing(x)")],
        );
        write(
            &kernel.tree.source.join("fs/one.c"),
            &format!("\n\n\n{ONE}"),
        );
        let overlay = overlay(&kernel, &[fix]).expect("it applies");
        assert!(text(&overlay.root().join("fs/one.c")).contains("2 * thing"));
    }

    #[test]
    fn what_does_not_apply_is_told_by_fix_file_and_line() {
        let kernel = Kernel::new(Layout::Apart);
        let fix = kernel.fix(
            "fix.patch",
            &[("fs/one.c", "return thing(x)", "return 2 * thing(x)")],
        );
        let other = ONE.replace("thing(x)", "other(x)");
        write(&kernel.tree.source.join("fs/one.c"), &other);
        let message = refusal(&kernel, fix);
        for part in [
            "fix.patch does not apply to",
            "fs/one.c does not have",
            "line 10",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn rejects_what_is_no_source_diff_or_leaves_the_tree() {
        let kernel = Kernel::new(Layout::Apart);
        let new = |path: &str, mode: &str, text: &str| {
            format!("diff --git {path} {path}\nnew file mode {mode}\n--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+{text}\n")
        };
        for (text, part) in [
            ("Hello.\n".to_owned(), "it has no diff in it"),
            (
                "diff --git a/x b/x\nGIT binary patch\n".to_owned(),
                "changes a binary file",
            ),
            (
                "Binary files a/x and b/x differ\n".to_owned(),
                "changes a binary file",
            ),
            (new("b/../../outside.c", "100644", "x"), "outside.c"),
            (new("b/fs/link.c", "120000", "/etc/passwd"), "symbolic link"),
            (
                "--- a/fs/one.c\n+++ b/fs/one.c\n@@ -1,2 +1,2 @@\n".to_owned(),
                "patch",
            ),
        ] {
            let message = refusal(&kernel, kernel.text_fix("fix.patch", &text));
            assert!(
                message.contains(part) && message.contains("fix"),
                "{message}"
            );
        }
        assert!(!kernel.tree.source.with_file_name("outside.c").exists());
        let message = refusal(&kernel, PathBuf::from("/no/such/fix.patch"));
        assert!(
            message.contains("cannot read /no/such/fix.patch"),
            "{message}"
        );
    }

    #[test]
    fn rejects_a_way_through_a_link_in_the_tree() {
        let kernel = Kernel::new(Layout::Apart);
        symlink("fs", kernel.tree.source.join("other")).expect("a link");
        let fix = kernel.text_fix(
            "fix.patch",
            "--- a/other/near.h\n+++ b/other/near.h\n@@ -1 +1 @@\n-#define NEAR 7\n+#define NEAR 8\n",
        );
        assert!(refusal(&kernel, fix).contains("behind a symbolic link"));
    }

    #[test]
    fn rejects_what_no_livepatch_can_change() {
        let kernel = Kernel::new(Layout::Apart);
        let fix = kernel.fix(
            "fix.patch",
            &[
                ("Makefile", "all", "none"),
                ("lib/entry.S", "nop", "ret"),
                ("fs/Kconfig", "", "config X\n"),
                ("fs/one.c", "int first", "long first"),
            ],
        );
        let message = refusal(&kernel, fix);
        for part in [
            "lib/entry.S: assembly",
            "Makefile: it changes what is built",
            "fs/Kconfig: it changes the configuration",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("one.c"), "{message}");
    }

    #[test]
    fn files_are_told_by_their_paths() {
        let mut tree = Kernel::new(Layout::Apart).tree;
        for path in [
            "Documentation/x.c",
            "tools/testing/selftests/x/Makefile",
            "samples/x.c",
            "MAINTAINERS",
            "arch/arm64/Kconfig",
            "arch/s390/kernel/x.S",
            "fs/README",
            "fs/x/TODO",
            "arch/x86/configs/x86_64_defconfig",
            "scripts/notes.txt",
        ] {
            let kind = classify(Path::new(path), &tree);
            assert!(matches!(kind, Ok(Kind::Ignored(_))), "{path}");
        }
        for path in [
            "arch/x86/Kconfig",
            "arch/x86/include/asm/runtime-const.h",
            "arch/Kconfig",
            "scripts/x.c",
            "usr/x.c",
            "fs/Kbuild",
            "fs/x.rs",
            "fs/Makefile.x",
            "arch/x86/kernel/vmlinux.lds.S",
            "fs/x.tbl",
            "fs/x",
        ] {
            assert!(classify(Path::new(path), &tree).is_err(), "{path}");
        }
        for (path, kind) in [
            ("certs/x.c", Kind::C),
            ("arch/x86/x.c", Kind::C),
            ("fs/x.h", Kind::Header),
        ] {
            assert_eq!(classify(Path::new(path), &tree), Ok(kind), "{path}");
        }
        // These places mean something in the kernel only.
        tree.of = Of::Module { is_copy: false };
        for path in ["tools/x.c", "scripts/x.c", "arch/arm64/x.c"] {
            assert_eq!(classify(Path::new(path), &tree), Ok(Kind::C), "{path}");
        }
        for path in ["dkms.conf", "MAINTAINERS", "debian/changelog", "README.md"] {
            assert!(matches!(
                classify(Path::new(path), &tree),
                Ok(Kind::Ignored(_))
            ));
        }
        assert!(classify(Path::new("Makefile"), &tree).is_err());
    }
}
