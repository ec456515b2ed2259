// SPDX-License-Identifier: GPL-2.0

//! The source tree as a fix leaves it, beside the user's.
//!
//! An overlay is a directory of symbolic links to the source, in which only the files that differ
//! and the directories on the way to them are real. A compiler that is called with its path finds
//! everything there, under the same names.

use super::lines;
use super::path::normal;
use super::tree::Tree;
use anyhow::{bail, ensure, Context, Result};
use livepatch_format::elf::Machine;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
        .env("LC_ALL", "C")
        .args(["apply", "-p1", "--whitespace=nowarn"])
        .args(flags)
        .arg("--")
        .arg(fix)
        .stdin(Stdio::null());
    match git.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("klp build applies fixes with git apply: install git")
        }
        output => output.context("cannot run git"),
    }
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
        match classify(&path, tree.machine) {
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

/// What a file of the source tree is; an error says why a livepatch cannot change it.
fn classify(path: &Path, machine: Machine) -> Result<Kind, &'static str> {
    let parts: Vec<_> = path.iter().filter_map(OsStr::to_str).collect();
    let name = parts.last().copied().unwrap_or_default();
    let arch = match machine {
        Machine::X86_64 => "x86",
        Machine::S390 => "s390",
    };
    match parts.as_slice() {
        ["Documentation" | "LICENSES", ..] => return Ok(Kind::Ignored("documentation")),
        ["tools", ..] => return Ok(Kind::Ignored("a program, no part of the kernel")),
        ["samples", ..] => return Ok(Kind::Ignored("a sample")),
        ["arch", other, _, ..] if *other != arch => {
            return Ok(Kind::Ignored("another architecture's"))
        }
        ["usr" | "scripts", .., last] if !is_text(last) => {
            return Err("it is a part of how the kernel is built")
        }
        ["MAINTAINERS" | "CREDITS" | "COPYING"] => return Ok(Kind::Ignored("documentation")),
        _ => {}
    }
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
