// SPDX-License-Identifier: GPL-2.0

//! Which C files may include a file, by the text of their `#include` lines.
//!
//! This is for trees in which nothing was compiled. It finds too many: conditions are not looked
//! at, and an included name stands for every file whose path ends in it. What the compiler says
//! afterwards decides.

use super::interrupt;
use super::kbuild::source_arch;
use super::path::normal;
use super::tree::Tree;
use anyhow::{Context, Result};
use memchr::memmem;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The `#include` lines of a source tree.
#[derive(Debug)]
pub struct Includes {
    /// The files that include something of this name, by the last part of the name.
    by_name: HashMap<String, Vec<Include>>,
}

#[derive(Debug)]
struct Include {
    /// The file that has the line, from the source tree.
    by: PathBuf,
    /// What it includes, without `.` and `..` at the beginning.
    name: PathBuf,
}

impl Includes {
    /// Reads all C files and headers that a kernel for this machine can be made of.
    pub fn read(tree: &Tree) -> Result<Self> {
        let files = sources(tree)?;
        let lines: Vec<Include> = files
            .par_iter()
            .map(|path| {
                interrupt::check()?;
                let file = tree.source.join(path);
                let text =
                    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                Ok(included(&text)
                    .map(|name| Include {
                        by: path.clone(),
                        name,
                    })
                    .collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let mut by_name: HashMap<String, Vec<Include>> = HashMap::new();
        for line in lines {
            let last = line.name.file_name().and_then(OsStr::to_str);
            if let Some(last) = last {
                by_name.entry(last.to_owned()).or_default().push(line);
            }
        }
        Ok(Includes { by_name })
    }

    /// The C files that may include `path`, directly or by way of others.
    pub fn includers(&self, path: &Path) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::from([path.to_owned()]);
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            for by in self.directly(&path) {
                if !seen.insert(by.to_owned()) {
                    continue;
                }
                if super::command::is_c(by) {
                    found.insert(by.to_owned());
                }
                open.push(by.to_owned());
            }
        }
        found
    }

    /// Whether another file includes `path`: such a C file is often not compiled itself.
    pub fn is_included(&self, path: &Path) -> bool {
        self.directly(path).next().is_some()
    }

    fn directly<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> + 'a {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let lines = self.by_name.get(name).map(Vec::as_slice);
        lines
            .unwrap_or_default()
            .iter()
            .filter(move |line| path.ends_with(&line.name) && line.by != path)
            .map(|line| line.by.as_path())
    }
}

/// The C files and headers below the source tree, without those of other architectures, of
/// programs and of samples.
fn sources(tree: &Tree) -> Result<Vec<PathBuf>> {
    let arch = source_arch(tree.machine);
    let is_wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_str().unwrap_or_default();
        match entry.depth() {
            1 => !matches!(
                name,
                ".git" | "Documentation" | "tools" | "scripts" | "samples" | "usr"
            ),
            2 if entry.path().parent() == Some(&tree.source.join("arch")) => name == arch,
            _ => true,
        }
    };
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&tree.source)
        .into_iter()
        .filter_entry(is_wanted)
    {
        let entry = entry.context("cannot read the source tree")?;
        let is_source = matches!(
            entry.path().extension().and_then(OsStr::to_str),
            Some("c" | "h")
        );
        if is_source && entry.file_type().is_file() {
            let path = entry.path().strip_prefix(&tree.source);
            files.extend(path.map(Path::to_owned));
        }
    }
    Ok(files)
}

/// What the text of a file includes.
fn included(text: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    memmem::find_iter(text, b"include").filter_map(|at| {
        let before = text.get(..at)?.trim_ascii_end();
        let before = before.strip_suffix(b"#")?;
        let line = before.iter().rev().take_while(|&&byte| byte != b'\n');
        if !line.clone().all(u8::is_ascii_whitespace) {
            return None;
        }
        let after = text.get(at + b"include".len()..)?.trim_ascii_start();
        let end = match after.first()? {
            b'<' => b'>',
            b'"' => b'"',
            _ => return None,
        };
        let name = after.get(1..)?;
        let length = memchr::memchr2(end, b'\n', name)?;
        let (name, rest) = name.split_at_checked(length)?;
        if rest.first() != Some(&end) {
            return None;
        }
        let name = normal(Path::new(std::str::from_utf8(name).ok()?));
        let name: PathBuf = name
            .components()
            .skip_while(|part| *part == std::path::Component::ParentDir)
            .collect();
        Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout};

    fn names(text: &str) -> Vec<String> {
        included(text.as_bytes())
            .map(|name| name.to_str().expect("text").to_owned())
            .collect()
    }

    #[test]
    fn include_lines_are_read_in_all_their_forms() {
        let text =
            "#include <linux/a.h>\n # include\t\"../b.h\"\n#include \"./c.c\"\n#include MACRO\n\
                    // #include <no.h>\n#include <unfinished\nint include;\n#include \"d/../e.h\"";
        assert_eq!(names(text), ["linux/a.h", "b.h", "c.c", "e.h"]);
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
}
