// SPDX-License-Identifier: GPL-2.0

//! Which files of C and assembly may include a file, by the text of their `#include` lines.
//!
//! This is for trees in which nothing was compiled. A line is resolved as the compiler does it: in
//! quotes first beside the file that has it, else by the directories that the makefiles name
//! ([`makefiles`](super::makefiles)). Conditions are not looked at, and where something is not
//! known, it counts as including: it finds too many. What the compiler says afterwards decides.

use super::command::{is_assembly, is_c};
use super::interrupt;
use super::kbuild::source_arch;
use super::kdir::Config;
use super::makefiles::{is_makefile, Makefiles};
use super::path::normal;
use super::tree::Tree;
use anyhow::{Context, Result};
use memchr::memmem;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The `#include` lines of a source tree, and of what is generated in the build directory.
#[derive(Debug)]
pub struct Includes {
    arch: &'static str,
    /// All files, from the source tree or the build directory.
    files: HashSet<PathBuf>,
    /// The lines, by the last part of the name that they include.
    by_name: HashMap<String, Vec<Include>>,
    /// Files that include what a macro says, of which nothing is known.
    unknown: Vec<PathBuf>,
    makefiles: Makefiles,
}

#[derive(Debug)]
struct Include {
    /// The file that has the line.
    by: PathBuf,
    /// What it includes, without `.` and, where it follows a name, `..`.
    name: PathBuf,
    is_quoted: bool,
}

/// What a line includes.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Quoted(PathBuf),
    Angled(PathBuf),
    Macro(String),
}

/// A file that includes another one, in files that are compiled below a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Way {
    file: PathBuf,
    below: PathBuf,
}

impl Includes {
    /// Reads all files of C and assembly, headers and makefiles that a kernel for this machine can
    /// be made of.
    pub fn read(tree: &Tree) -> Result<Self> {
        let mut files = sources(tree)?;
        let makefiles = files.iter().map(PathBuf::as_path);
        let makefiles = makefiles.filter(|path| is_makefile(path));
        let makefiles = Makefiles::read(&tree.source, tree.machine, makefiles)?;
        let mut includes = Includes {
            arch: source_arch(tree.machine),
            files: HashSet::new(),
            by_name: HashMap::new(),
            unknown: Vec::new(),
            makefiles,
        };
        let config = Config::of(&tree.build).unwrap_or_default();
        let mut seen = HashSet::new();
        let mut open: Vec<PathBuf> = Vec::new();
        for path in &files {
            if is_source(path) && seen.insert(path.clone()) {
                open.push(path.clone());
            }
        }
        // Then what has another name, or is where only programs are, and is included nevertheless.
        while !open.is_empty() {
            let outside = includes.add(tree, &config, &open)?;
            let named = files.iter().filter(|path| {
                let name = path.file_name().and_then(OsStr::to_str);
                name.is_some_and(|name| includes.by_name.contains_key(name))
            });
            let mut next: Vec<_> = named.cloned().collect();
            next.extend(outside);
            next.retain(|path| seen.insert(path.clone()));
            files.extend(next.iter().cloned());
            open = next;
        }
        includes.files = files.into_iter().collect();
        Ok(includes)
    }

    /// Reads the lines of files; returns files that they include of directories that were left out.
    fn add(&mut self, tree: &Tree, config: &Config, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let lines: Vec<_> = paths
            .par_iter()
            .map(|path| {
                interrupt::check()?;
                let read = fs::read(tree.source.join(path));
                let text = read.or_else(|_| fs::read(tree.build.join(path)));
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                Ok((path, included(&text).collect::<Vec<_>>()))
            })
            .collect::<Result<_>>()?;
        let mut outside = BTreeSet::new();
        for (by, line) in lines
            .into_iter()
            .flat_map(|(by, lines)| lines.into_iter().map(move |line| (by, line)))
        {
            let (name, is_quoted) = match line {
                Line::Quoted(name) => (name, true),
                Line::Angled(name) => (name, false),
                Line::Macro(name) => {
                    if !is_resolved(&name, config) {
                        self.unknown.push(by.clone());
                    }
                    continue;
                }
            };
            let beside = by.parent().filter(|_| is_quoted).map(Path::to_owned);
            let include = Path::new("include").to_owned();
            let upward = name.starts_with("..").then_some(include);
            for directory in beside.into_iter().chain(upward) {
                let path = normal(&directory.join(&name));
                if is_left_out(&path, self.arch) && tree.source.join(&path).is_file() {
                    outside.insert(path);
                }
            }
            if let Some(last) = name.file_name().and_then(OsStr::to_str) {
                let include = Include {
                    by: by.clone(),
                    is_quoted,
                    name: name.clone(),
                };
                self.by_name
                    .entry(last.to_owned())
                    .or_default()
                    .push(include);
            }
        }
        Ok(outside.into_iter().collect())
    }

    /// The files of C and assembly that may include `path`, directly or by way of others.
    pub fn includers(&self, path: &Path) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut seen: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
        let mut open = vec![Way {
            file: path.to_owned(),
            below: PathBuf::new(),
        }];
        while let Some(way) = open.pop() {
            let known = seen.entry(way.file.clone()).or_default();
            // Known for more.
            if known.iter().any(|below| way.below.starts_with(below)) {
                continue;
            }
            known.push(way.below.clone());
            if way.file.starts_with(&way.below) && self.is_compiled(&way.file) {
                found.insert(way.file.clone());
            }
            for forced in self.makefiles.forced(&way.file) {
                if let Some(below) = both(&way.below, forced) {
                    let files = self.files.iter().filter(|file| self.is_compiled(file));
                    found.extend(files.filter(|file| file.starts_with(below)).cloned());
                }
            }
            for (by, need) in self.directly(&way.file) {
                if let Some(below) = both(&way.below, need) {
                    open.push(Way {
                        file: by.to_owned(),
                        below: below.to_owned(),
                    });
                }
            }
        }
        found.remove(path);
        found
    }

    fn is_compiled(&self, path: &Path) -> bool {
        is_compiled(path) && !is_left_out(path, self.arch)
    }

    /// Whether another file includes `path`: such a C file is often not compiled itself.
    pub fn is_included(&self, path: &Path) -> bool {
        let unknown = |by: &Path| self.unknown.iter().any(|file| file == by);
        self.directly(path).any(|(by, _)| !unknown(by))
    }

    /// The objects in other directories that are made of a source, beside its own.
    pub fn objects_elsewhere(&self, source: &Path) -> Vec<PathBuf> {
        self.makefiles.objects_elsewhere(source)
    }

    /// The directories whose makefiles may name an object.
    pub fn directories_that_name(&self, object: &Path) -> BTreeSet<PathBuf> {
        self.makefiles.directories_that_name(object)
    }

    /// The files that include `path`, and below which directory files have to be that are compiled.
    fn directly<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Path)> + 'a {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let lines = self.by_name.get(name).map(Vec::as_slice);
        let known = lines.unwrap_or_default().iter().flat_map(move |line| {
            let ways = match line.by == path {
                true => Vec::new(),
                false => self.ways(line, path),
            };
            ways.into_iter()
                .map(move |below| (line.by.as_path(), below))
        });
        let unknown = self.unknown.iter().filter(move |by| *by != path);
        known.chain(unknown.map(|by| (by.as_path(), Path::new(""))))
    }

    fn ways<'a>(&'a self, line: &'a Include, path: &Path) -> Vec<&'a Path> {
        if line.is_quoted {
            let directory = line.by.parent().unwrap_or(Path::new(""));
            let beside = normal(&directory.join(&line.name));
            if beside == path {
                return vec![Path::new("")];
            }
            if self.files.contains(&beside) {
                return Vec::new();
            }
        }
        self.makefiles.ways(&line.name, path)
    }
}

/// The lower one of two directories, if it is in the other one.
fn both<'a>(one: &'a Path, other: &'a Path) -> Option<&'a Path> {
    match (one.starts_with(other), other.starts_with(one)) {
        (true, _) => Some(one),
        (_, true) => Some(other),
        _ => None,
    }
}

/// Whether it is known what the macro of an `#include` line stands for: tracepoints include the
/// header once more that has the line (`include/trace/define_trace.h`), and an option that is not
/// set includes nothing.
fn is_resolved(name: &str, config: &Config) -> bool {
    match name.strip_prefix("CONFIG_") {
        Some(option) => config.get(option).is_none(),
        None => matches!(name, "TRACE_INCLUDE" | "REMOTE_EVENT_INCLUDE"),
    }
}

/// Whether objects can be made of a file.
fn is_compiled(path: &Path) -> bool {
    is_c(path) || is_assembly(path)
}

fn is_source(path: &Path) -> bool {
    is_compiled(path) || path.extension() == Some(OsStr::new("h"))
}

/// Whether a path, from the source tree, is in a directory that a kernel for this architecture is not
/// made of.
fn is_left_out(path: &Path, arch: &str) -> bool {
    let parts: Vec<_> = path.iter().filter_map(OsStr::to_str).take(3).collect();
    match parts.as_slice() {
        [".git" | "Documentation" | "tools" | "scripts" | "samples" | "usr", ..] => true,
        ["arch", other, _] => *other != arch,
        ["arch", other] => *other != arch && *other != "Kconfig",
        _ => false,
    }
}

/// The files below the source tree, without those of other architectures, of programs and of
/// samples, and the headers that are generated in the build directory.
fn sources(tree: &Tree) -> Result<Vec<PathBuf>> {
    let arch = source_arch(tree.machine);
    let mut files = walk(&tree.source, Path::new(""), arch)?;
    if tree.build != tree.source {
        for directory in [
            Path::new("include").to_owned(),
            Path::new("arch").join(arch).join("include"),
        ] {
            if tree.build.join(&directory).is_dir() {
                files.extend(walk(&tree.build, &directory, arch)?);
            }
        }
    }
    Ok(files)
}

fn walk(top: &Path, directory: &Path, arch: &str) -> Result<Vec<PathBuf>> {
    let inside = |entry: &walkdir::DirEntry| {
        let path = entry.path().strip_prefix(top);
        path.map(Path::to_owned).unwrap_or_default()
    };
    // Options are no headers.
    let is_wanted = |entry: &walkdir::DirEntry| {
        let path = inside(entry);
        !is_left_out(&path, arch) && path != Path::new("include/config")
    };
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(top.join(directory))
        .into_iter()
        .filter_entry(is_wanted)
    {
        let entry = entry.context("cannot read the source tree")?;
        if entry.file_type().is_file() {
            files.push(inside(&entry));
        }
    }
    Ok(files)
}

/// What the text of a file includes.
fn included(text: &[u8]) -> impl Iterator<Item = Line> + '_ {
    memmem::find_iter(text, b"include").filter_map(|at| {
        let before = text.get(..at)?.trim_ascii_end();
        let before = before.strip_suffix(b"#")?;
        let line = before.iter().rev().take_while(|&&byte| byte != b'\n');
        if !line.clone().all(u8::is_ascii_whitespace) {
            return None;
        }
        let after = text.get(at + b"include".len()..)?;
        let after = after.strip_prefix(b"_next").unwrap_or(after);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if after.first().is_some_and(is_name) {
            return None;
        }
        let after = after.trim_ascii_start();
        let end = match after.first()? {
            b'<' => b'>',
            b'"' => b'"',
            byte if is_name(byte) => {
                let length = after.iter().take_while(|byte| is_name(byte)).count();
                let name = std::str::from_utf8(after.get(..length)?).ok()?;
                return Some(Line::Macro(name.to_owned()));
            }
            _ => return None,
        };
        let name = after.get(1..)?;
        let length = memchr::memchr2(end, b'\n', name)?;
        let (name, rest) = name.split_at_checked(length)?;
        if rest.first() != Some(&end) {
            return None;
        }
        let name = normal(Path::new(std::str::from_utf8(name).ok()?));
        if name.components().all(|part| part == Component::ParentDir) {
            return None;
        }
        Some(match end {
            b'>' => Line::Angled(name),
            _ => Line::Quoted(name),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout};

    fn lines(text: &str) -> Vec<Line> {
        included(text.as_bytes()).collect()
    }

    #[test]
    fn include_lines_are_read_in_all_their_forms() {
        let text =
            "#include <linux/a.h>\n # include\t\"../b.h\"\n#include \"./c.c\"\n#include MACRO\n\
                    // #include <no.h>\n#include <unfinished\nint include;\n#include \"d/../e.h\"\n\
                    #include_next <f.h>\n#includes <no.h>";
        let quoted = |name: &str| Line::Quoted(name.into());
        let angled = |name: &str| Line::Angled(name.into());
        assert_eq!(
            lines(text),
            [
                angled("linux/a.h"),
                quoted("../b.h"),
                quoted("c.c"),
                Line::Macro("MACRO".to_owned()),
                quoted("e.h"),
                angled("f.h"),
            ]
        );
    }

    #[test]
    fn files_include_each_other_by_way_of_others() {
        let kernel = Kernel::new(Layout::Apart);
        // Another architecture's, and a program's.
        for path in ["arch/s390/kernel/x.c", "tools/x.c", "arch/x86/kernel/x.c"] {
            write(&kernel.tree.source.join(path), "#include <linux/rarer.h>\n");
        }
        let includes = Includes::read(&kernel.tree).expect("it can be read");
        let found =
            |path: &str| -> Vec<_> { includes.includers(Path::new(path)).into_iter().collect() };
        assert_eq!(
            found("include/linux/rarer.h"),
            ["arch/x86/kernel/x.c", "fs/two.c"].map(PathBuf::from)
        );
        assert_eq!(found("fs/part.c"), [PathBuf::from("fs/two.c")]);
        assert_eq!(found("fs/near.h"), [PathBuf::from("fs/deep/three.c")]);
        assert!(found("fs/one.c").is_empty());
        assert!(includes.is_included(Path::new("fs/part.c")));
        assert!(!includes.is_included(Path::new("fs/two.c")));
    }

    #[test]
    fn a_name_in_quotes_is_looked_for_beside_the_file_first() {
        let kernel = Kernel::new(Layout::Apart);
        let source = &kernel.tree.source;
        for (path, text) in [
            ("mm/internal.h", ""),
            ("mm/a.c", "#include \"internal.h\"\n"),
            ("fs/internal.h", "#include \"deeper/x.h\"\n"),
            ("fs/a.c", "#include \"internal.h\"\n"),
            // None is beside it; the makefile says where it is.
            (
                "net/a.c",
                "#include \"internal.h\"\n#include \"deeper/x.h\"\n",
            ),
            ("net/Makefile", "ccflags-y := -I$(srctree)/mm\n"),
            // Nothing says so.
            ("block/a.c", "#include \"internal.h\"\n"),
            ("fs/deeper/x.h", ""),
            // A header of the kernel's, in the one and in the other way.
            ("arch/x86/include/asm/x.h", "#include <asm-generic/x.h>\n"),
            ("arch/s390/include/asm/x.h", "#include <asm-generic/x.h>\n"),
            ("include/asm-generic/x.h", ""),
            ("block/b.c", "#include <asm/x.h>\n"),
            ("block/c.S", "#include <asm/generated.h>\n"),
        ] {
            write(&source.join(path), text);
        }
        let wrapper = "arch/x86/include/generated/asm/generated.h";
        write(
            &kernel.tree.build.join(wrapper),
            "#include <asm-generic/x.h>\n",
        );
        let includes = Includes::read(&kernel.tree).expect("it can be read");
        for (path, expected) in [
            ("mm/internal.h", vec!["mm/a.c", "net/a.c"]),
            ("fs/internal.h", vec!["fs/a.c"]),
            ("fs/deeper/x.h", vec!["fs/a.c"]),
            ("include/asm-generic/x.h", vec!["block/b.c", "block/c.S"]),
        ] {
            let expected: BTreeSet<_> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(includes.includers(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_known_counts() {
        let kernel = Kernel::new(Layout::Apart);
        for (path, text) in [
            ("mm/a.c", "#include UNKNOWN\n"),
            ("mm/b.c", "#include CONFIG_FILE\n"),
            ("mm/c.c", "#include TRACE_INCLUDE(FILE)\n"),
            (
                "Makefile",
                "c_flags = -include $(srctree)/include/linux/forced.h\n",
            ),
            ("include/linux/forced.h", "#include <linux/from_forced.h>\n"),
            ("include/linux/from_forced.h", ""),
        ] {
            write(&kernel.tree.source.join(path), text);
        }
        let includes = Includes::read(&kernel.tree).expect("it can be read");
        let found = includes.includers(Path::new("fs/near.h"));
        let expected = ["fs/deep/three.c", "mm/a.c"].map(PathBuf::from);
        assert_eq!(found, BTreeSet::from(expected));
        assert!(!includes.is_included(Path::new("fs/one.c")));
        // Every file includes this one.
        let found = includes.includers(Path::new("include/linux/from_forced.h"));
        let source = |path: &Path| is_compiled(path) && kernel.tree.source.join(path).exists();
        assert!(found.contains(Path::new("fs/one.c")) && found.contains(Path::new("lib/entry.S")));
        assert!(found.iter().all(|path| source(path)));
    }
}
