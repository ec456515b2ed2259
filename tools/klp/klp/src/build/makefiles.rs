// SPDX-License-Identifier: GPL-2.0

//! Where the compiler looks for headers, by the text of the kernel's makefiles.
//!
//! kbuild gives every file the include roots of the kernel, and those of a directory what its
//! makefile adds with `-I` and `-include` (`Documentation/kbuild/makefiles.rst`). Makefiles are not
//! evaluated here: conditions are not looked at, and what a variable stands for is known only where
//! it is kbuild's own or is set in the same file. What is not known counts for every directory that
//! it can be.

use super::kbuild;
use super::path::normal;
use anyhow::{Context, Result};
use livepatch_format::elf::Machine;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// How often a variable may be set by another one.
const DEPTH: usize = 5;

/// A path that a makefile names, from the source tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Is(PathBuf),
    /// What it begins with is not known, perhaps nothing is.
    EndsWith(PathBuf),
}

/// What the makefiles say of how files are compiled.
#[derive(Debug, Default)]
pub struct Makefiles {
    roots: Vec<PathBuf>,
    /// Directories of headers, and below which directory files are compiled with them.
    directories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    unknown: BTreeSet<(PathBuf, PathBuf)>,
    /// Files that are included before anything else, in the same way.
    forced: BTreeSet<(Named, PathBuf)>,
    elsewhere: Vec<Elsewhere>,
    /// Which makefiles have a name of an object in their texts.
    naming: HashMap<String, BTreeSet<PathBuf>>,
    /// What makefiles of directories include.
    including: BTreeMap<PathBuf, Vec<Named>>,
}

/// A rule that makes objects of sources in another directory; `%` stands for a part of both.
#[derive(Debug)]
struct Elsewhere {
    object: String,
    source: String,
}

impl Makefiles {
    /// Reads the makefiles, of which `paths` are those of directories, from the source tree.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn read<'a>(
        source: &Path,
        machine: Machine,
        paths: impl Iterator<Item = &'a Path>,
    ) -> Result<Self> {
        let arch = kbuild::source_arch(machine);
        let mut texts = BTreeMap::new();
        let shared = ["Makefile", "scripts/Makefile.lib"].map(Path::new);
        let shared = shared.into_iter().filter(|path| source.join(path).exists());
        for path in paths.chain(shared) {
            let file = source.join(path);
            let text =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let text = String::from_utf8_lossy(&text).replace("\\\n", " ");
            texts.insert(path.to_owned(), text);
        }
        let mut makefiles = Makefiles {
            roots: roots(arch),
            ..Makefiles::default()
        };
        let below = below(arch, &texts);
        for (path, text) in &texts {
            let makefile = Makefile {
                directory: path.parent().unwrap_or(Path::new("")),
                arch,
                text,
            };
            let below = below.get(path).cloned().unwrap_or_default();
            makefiles.add(&makefile, &below);
            if is_shared(arch, path) {
                continue;
            }
            for name in makefile.objects() {
                let naming = makefiles.naming.entry(name.to_owned()).or_default();
                naming.insert(path.clone());
            }
            let included: Vec<_> = makefile.included().collect();
            if !included.is_empty() {
                makefiles.including.insert(path.clone(), included);
            }
        }
        Ok(makefiles)
    }

    fn add(&mut self, makefile: &Makefile<'_>, below: &Path) {
        for line in makefile.text.lines() {
            // make has a word like this flag.
            if line.starts_with("-include") || line.trim_start().starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                let Some((flag, value)) = flag(word) else {
                    continue;
                };
                let value = match value {
                    "" => words.next().unwrap_or_default(),
                    value => value,
                };
                match (flag, makefile.path(value)) {
                    (Flag::Directory, Named::Is(path)) => {
                        let all = self.directories.entry(path).or_default();
                        all.insert(below.to_owned());
                    }
                    (Flag::Directory, Named::EndsWith(path)) => {
                        self.unknown.insert((path, below.to_owned()));
                    }
                    // A command of its own, for one file.
                    (Flag::File, _) if value.starts_with("$<") => {}
                    (Flag::File, named) => {
                        let below = makefile.only(line).unwrap_or(below.to_owned());
                        self.forced.insert((named, below));
                    }
                }
            }
        }
        self.elsewhere.extend(makefile.rules());
    }

    /// By which ways a line that names `name` can include `path`: below which directories files have
    /// to be that are compiled, for each way.
    pub fn ways<'a>(&'a self, name: &Path, path: &Path) -> Vec<&'a Path> {
        let is_upward = name.starts_with("..");
        if !is_upward && !path.ends_with(name) {
            return Vec::new();
        }
        if self
            .roots
            .iter()
            .any(|root| normal(&root.join(name)) == path)
        {
            return vec![Path::new("")];
        }
        let mut ways: Vec<&Path> = Vec::new();
        if is_upward {
            for (directory, below) in &self.directories {
                if normal(&directory.join(name)) == path {
                    ways.extend(below.iter().map(PathBuf::as_path));
                }
            }
        } else if let Some(directory) = without(path, name) {
            let below = self.directories.get(&directory);
            ways.extend(below.into_iter().flatten().map(PathBuf::as_path));
        }
        let inner: PathBuf = name.components().skip_while(is_parent).collect();
        for (end, below) in &self.unknown {
            let fits = match is_upward {
                true => path.ends_with(&inner),
                false => path.ends_with(end.join(name)),
            };
            if fits {
                ways.push(below);
            }
        }
        ways
    }

    /// Below which directories every file includes `path`, without a line that says so.
    pub fn forced<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> + 'a {
        self.forced.iter().filter_map(move |(named, below)| {
            let fits = match named {
                Named::Is(named) if named.file_name() != path.file_name() => false,
                // Without a root it is looked for as other headers are.
                Named::Is(named) => named == path || !self.ways(named, path).is_empty(),
                Named::EndsWith(end) => path.ends_with(end),
            };
            fits.then_some(below.as_path())
        })
    }

    /// The objects in other directories that are made of a source, beside its own.
    pub fn objects_elsewhere(&self, source: &Path) -> Vec<PathBuf> {
        let name = source.to_str().unwrap_or_default();
        let found = self.elsewhere.iter().filter_map(|rule| {
            let part = match rule.source.split_once('%') {
                Some((before, behind)) => name.strip_prefix(before)?.strip_suffix(behind)?,
                None if rule.source == name => "",
                None => return None,
            };
            Some(PathBuf::from(rule.object.replace('%', part)))
        });
        found.collect()
    }

    /// The directories whose makefiles may name an object, also by way of those that they include.
    pub fn directories_that_name(&self, object: &Path) -> BTreeSet<PathBuf> {
        let name = object.file_name().and_then(OsStr::to_str);
        let naming = name.and_then(|name| self.naming.get(name));
        let mut found: BTreeSet<&Path> =
            naming.into_iter().flatten().map(|p| p.as_path()).collect();
        loop {
            let includes = |named: &Named| match named {
                Named::Is(path) => found.contains(path.as_path()),
                Named::EndsWith(end) => found.iter().any(|path| path.ends_with(end)),
            };
            let more: Vec<_> = self
                .including
                .iter()
                .filter(|(path, named)| {
                    !found.contains(path.as_path()) && named.iter().any(includes)
                })
                .map(|(path, _)| path.as_path())
                .collect();
            if more.is_empty() {
                let directories = found.iter().filter_map(|path| path.parent());
                return directories.map(Path::to_owned).collect();
            }
            found.extend(more);
        }
    }
}

fn roots(arch: &str) -> Vec<PathBuf> {
    let arch = Path::new("arch").join(arch);
    let mut roots = Vec::new();
    for root in [arch.join("include"), PathBuf::from("include")] {
        for below in ["", "uapi", "generated", "generated/uapi"] {
            roots.push(normal(&root.join(below)));
        }
    }
    roots
}

/// The directory in which `path` is called `name`.
fn without(path: &Path, name: &Path) -> Option<PathBuf> {
    let is_there = path.ends_with(name);
    let directory = path.ancestors().nth(name.components().count());
    directory.filter(|_| is_there).map(Path::to_owned)
}

fn is_parent(component: &std::path::Component<'_>) -> bool {
    *component == std::path::Component::ParentDir
}

#[derive(Debug, Clone, Copy)]
enum Flag {
    Directory,
    File,
}

/// The flag of a word of a makefile, and the value with it.
fn flag(word: &str) -> Option<(Flag, &str)> {
    let flags = [
        ("-include", Flag::File),
        ("-isystem", Flag::Directory),
        ("-idirafter", Flag::Directory),
        ("-iquote", Flag::Directory),
        ("-I", Flag::Directory),
    ];
    flags.into_iter().find_map(|(name, flag)| {
        let at = word.find(name)?;
        let before = word.get(..at)?.chars().next_back();
        let is_word = before.is_none_or(|c| !c.is_alphanumeric() && c != '-' && c != '_');
        is_word.then(|| Some((flag, word.get(at + name.len()..)?)))?
    })
}

/// Whether a makefile is not that of one directory alone.
fn is_shared(arch: &str, makefile: &Path) -> bool {
    let arch_directory = Path::new("arch").join(arch);
    let shared = [Path::new(""), Path::new("scripts"), &arch_directory];
    makefile
        .parent()
        .is_some_and(|parent| shared.contains(&parent))
}

/// Below which directory files are that a makefile says something of: its own, a higher one if it
/// has names with `..` in it, and if it is included by another makefile, or makes objects of another
/// directory's sources, one that has both.
fn below(arch: &str, texts: &BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, PathBuf> {
    let is_shared = |path: &Path| is_shared(arch, path);
    let mut below: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for (path, text) in texts {
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut common = match is_shared(path) {
            true => PathBuf::new(),
            false => up(directory, text),
        };
        let makefile = Makefile {
            directory,
            arch,
            text,
        };
        for rule in makefile.rules() {
            let fixed = rule.source.split('%').next().unwrap_or_default();
            common = ancestor(&common, Path::new(fixed).parent().unwrap_or(Path::new("")));
        }
        below.insert(path.clone(), common);
    }
    let mut including = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| !is_shared(path)) {
        let makefile = Makefile {
            directory: path.parent().unwrap_or(Path::new("")),
            arch,
            text,
        };
        let (mut known, mut has_unknown) = (Vec::new(), false);
        for named in makefile.included() {
            match named {
                Named::Is(named) if texts.contains_key(&named) => known.push(named),
                Named::Is(named) if named.starts_with("scripts") => {}
                _ => has_unknown = true,
            }
        }
        if has_unknown || !known.is_empty() {
            including.push((path, known, has_unknown));
        }
    }
    // Each may be included itself; directories only become higher, so that this ends.
    loop {
        let last = below.clone();
        for (path, known, has_unknown) in &including {
            let mut common = below.get(*path).cloned().unwrap_or_default();
            for other in known {
                common = ancestor(&common, below.get(other).unwrap_or(&PathBuf::new()));
            }
            for path in known.iter().chain([*path]) {
                below.insert(path.clone(), common.clone());
            }
            if *has_unknown {
                // It is taken to be somewhere below.
                for (other, directory) in &mut below {
                    if other.starts_with(&common) && !is_shared(other) {
                        *directory = ancestor(directory, &common);
                    }
                }
            }
        }
        if below == last {
            return below;
        }
    }
}

/// The directory above which a makefile with this text does not lead.
fn up(directory: &Path, text: &str) -> PathBuf {
    let words = text.split(|c: char| c.is_whitespace() || "=,()".contains(c));
    let parents = words
        .map(|word| word.split('/').filter(|part| *part == "..").count())
        .max();
    let mut above = directory.ancestors().skip(parents.unwrap_or(0));
    above.next().map(Path::to_owned).unwrap_or_default()
}

/// The directory that both are in.
fn ancestor(one: &Path, other: &Path) -> PathBuf {
    let mut above = one.ancestors();
    let found = above.find(|directory| other.starts_with(directory));
    found.map(Path::to_owned).unwrap_or_default()
}

/// One of them.
struct Makefile<'a> {
    directory: &'a Path,
    arch: &'a str,
    text: &'a str,
}

impl Makefile<'_> {
    /// The one source that a line has flags for: `CFLAGS_NAME.o += ...`.
    fn only(&self, line: &str) -> Option<PathBuf> {
        let rest = line.trim_start().strip_prefix("CFLAGS_")?;
        let end = rest.find(|c: char| c.is_whitespace() || "+:=".contains(c))?;
        let name = rest.get(..end)?.strip_suffix(".o")?;
        (!name.contains('$')).then(|| self.directory.join(format!("{name}.c")))
    }

    /// A path as it stands in the makefile, with variables.
    fn path(&self, text: &str) -> Named {
        // What is left of functions and quotes around it.
        let mut text = text.trim_matches(|c| "\"'\\,;".contains(c));
        while text.ends_with(')') && text.matches(')').count() > text.matches('(').count() {
            text = text.strip_suffix(')').unwrap_or(text);
        }
        let expanded = self.expand(text, DEPTH);
        // `?` stands for what is not known.
        match expanded.rsplit_once('?') {
            None => Named::Is(normal(Path::new(&expanded))),
            Some((_, rest)) => {
                let rest = rest.split_once('/').map_or("", |(_, rest)| rest);
                let end: PathBuf = normal(Path::new(rest))
                    .components()
                    .skip_while(is_parent)
                    .collect();
                Named::EndsWith(end)
            }
        }
    }

    /// The text without variables; `?` is in the place of those that are not known.
    fn expand(&self, text: &str, depth: usize) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            expanded.push_str(before);
            let variable = [('(', ')'), ('{', '}')]
                .into_iter()
                .find_map(|(open, close)| {
                    let inner = behind.strip_prefix(open)?;
                    let (name, rest) = inner.split_once(close)?;
                    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    name.chars().all(is_name).then_some((name, rest))
                });
            let Some((name, behind)) = variable else {
                // A function of make.
                return expanded + "?";
            };
            expanded.push_str(&self.value(name, depth));
            rest = behind;
        }
        expanded.push_str(rest);
        match expanded.contains(['%', '(', ')', ',', '*']) {
            true => "?".to_owned(),
            false => expanded,
        }
    }

    fn value(&self, name: &str, depth: usize) -> String {
        match name {
            "srctree" | "objtree" => ".".to_owned(),
            "src" | "obj" if self.directory == Path::new("") => ".".to_owned(),
            "src" | "obj" => self.directory.display().to_string(),
            "SRCARCH" => self.arch.to_owned(),
            _ => {
                let values: Vec<_> = self.assignments(name).collect();
                match (values.as_slice(), depth.checked_sub(1)) {
                    ([value], Some(depth)) if !value.contains(char::is_whitespace) => {
                        self.expand(value, depth)
                    }
                    _ => "?".to_owned(),
                }
            }
        }
    }

    /// What a variable is set to.
    fn assignments<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.text.lines().filter_map(move |line| {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let rest = line.strip_prefix(name)?.trim_start();
            let at = rest.find('=')?;
            let (operator, value) = (rest.get(..at)?, rest.get(at + 1..)?);
            let value = value.split('#').next().unwrap_or_default();
            matches!(operator, "" | ":" | "::" | "?" | "+").then(|| value.trim())
        })
    }

    /// The names of objects in its text, without directories.
    fn objects(&self) -> impl Iterator<Item = &str> + '_ {
        let words = self
            .text
            .split(|c: char| c.is_whitespace() || "=:,()".contains(c));
        words
            .filter(|word| word.ends_with(".o"))
            .map(|word| word.rsplit_once('/').map_or(word, |(_, name)| name))
    }

    /// What other makefiles it includes.
    fn included(&self) -> impl Iterator<Item = Named> + '_ {
        let lines = self.text.lines().filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix('-').unwrap_or(line);
            line.strip_prefix("include ")
        });
        let names = lines.flat_map(str::split_whitespace);
        names.map(|name| self.path(name))
    }

    /// The rules that make an object of a source in another directory.
    fn rules(&self) -> impl Iterator<Item = Elsewhere> + '_ {
        self.text.lines().filter_map(|line| {
            let (target, sources) = line.trim_start().split_once(':')?;
            let source = sources.split_whitespace().next()?;
            if !target.trim_end().ends_with(".o") || !source.ends_with(".c") {
                return None;
            }
            // The `%` of a rule is no variable.
            let plain = |text: &str| {
                let text = self.expand(&text.replace('%', "\u{1}"), DEPTH);
                let text = text.replace('\u{1}', "%");
                (!text.contains('?')).then_some(text)
            };
            let path = |text: &str| normal(Path::new(text)).to_str().map(str::to_owned);
            let object = path(&plain(target.trim_end())?)?;
            let source = path(&plain(source)?)?;
            let of = |path: &str| Path::new(path).with_extension("");
            (of(&object) != of(&source)).then_some(Elsewhere { object, source })
        })
    }
}

/// Whether a file is a makefile of the kernel, by its name.
pub fn is_makefile(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    ["Makefile", "Kbuild"]
        .into_iter()
        .filter_map(|beginning| name.strip_prefix(beginning))
        .any(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::write;

    fn read(files: &[(&str, &str)]) -> Makefiles {
        let directory = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            write(&directory.path().join(path), text);
        }
        let paths = files.iter().map(|(path, _)| Path::new(*path));
        Makefiles::read(directory.path(), Machine::X86_64, paths).expect("they can be read")
    }

    fn ways(makefiles: &Makefiles, name: &str, path: &str) -> Vec<String> {
        let ways = makefiles.ways(Path::new(name), Path::new(path));
        ways.iter().map(|way| way.display().to_string()).collect()
    }

    #[test]
    fn headers_are_below_the_roots_and_where_flags_say() {
        let makefiles = read(&[
            (
                "drivers/a/Makefile",
                "ccflags-y := -I$(src)/inc \\\n\t-I $(srctree)/drivers/b\nTOP = $(src)/../c\n\
                 CFLAGS_x.o += -I$(TOP)/deep -I${UNKNOWN}/far\n",
            ),
            (
                "drivers/d/Makefile",
                "subdir-ccflags-$(CONFIG_X) += -I$(src)\n",
            ),
        ]);
        for (name, path, expected) in [
            ("linux/fs.h", "include/linux/fs.h", vec![""]),
            ("linux/fs.h", "include/uapi/linux/fs.h", vec![""]),
            ("asm/page.h", "arch/x86/include/asm/page.h", vec![""]),
            ("asm/page.h", "arch/s390/include/asm/page.h", vec![]),
            ("../tools/x.h", "tools/x.h", vec![""]),
            ("x.h", "drivers/d/x.h", vec!["drivers/d"]),
            ("y/x.h", "drivers/d/y/x.h", vec!["drivers/d"]),
            ("x.h", "drivers/d/y/x.h", vec![]),
        ] {
            assert_eq!(ways(&makefiles, name, path), expected, "{name} {path}");
        }
        // The first makefile leads one directory up.
        for path in [
            "drivers/a/inc/x.h",
            "drivers/b/x.h",
            "drivers/c/deep/x.h",
            "mm/far/x.h",
        ] {
            assert_eq!(ways(&makefiles, "x.h", path), ["drivers"], "{path}");
        }
        // What is not finished can be everywhere.
        let makefiles = read(&[("mm/Makefile", "ccflags-y := $(addprefix -I$(lost, x)\n")]);
        assert_eq!(ways(&makefiles, "x.h", "lib/any/x.h"), ["mm"]);
    }

    #[test]
    fn what_is_included_by_force_is_known() {
        let makefiles = read(&[
            (
                "Makefile",
                "-include $(unknown) other.h\nUSERINCLUDE := \\\n\t-include $(srctree)/include/linux/kconfig.h\n",
            ),
            (
                "scripts/Makefile.lib",
                "c_flags = -include $(srctree)/include/linux/types.h\n",
            ),
            ("fs/Makefile", "CFLAGS_x.o := -include linux/near.h\n"),
        ]);
        let forced = |path: &str| -> Vec<String> {
            let below = makefiles.forced(Path::new(path));
            below.map(|below| below.display().to_string()).collect()
        };
        assert_eq!(forced("include/linux/kconfig.h"), [""]);
        assert_eq!(forced("include/linux/types.h"), [""]);
        assert_eq!(forced("include/linux/near.h"), ["fs/x.c"]);
        assert!(forced("include/linux/other.h").is_empty());
    }

    #[test]
    fn an_included_makefile_speaks_of_the_directory_of_the_other() {
        let makefiles = read(&[
            (
                "arch/x86/kvm/Makefile",
                "include $(srctree)/virt/kvm/Makefile.kvm\nccflags-y += -I$(src)\n",
            ),
            ("virt/kvm/Makefile.kvm", "KVM ?= ../../../virt/kvm\n"),
            (
                "drivers/amd/gpu/Makefile",
                "FULL = $(src)/..\ninclude $(FULL)/display/Makefile\n",
            ),
            (
                "drivers/amd/display/Makefile",
                "ccflags-y += -I$(FULL_PATH)/dc\ninclude $(LIST)\n",
            ),
            (
                "drivers/amd/display/dc/Makefile",
                "ccflags-y += -I$(FULL_PATH)/dc/inc\n",
            ),
            ("drivers/other/Makefile", "ccflags-y += -I$(src)\n"),
        ]);
        assert_eq!(ways(&makefiles, "x.h", "arch/x86/kvm/x.h"), [""]);
        assert_eq!(
            ways(&makefiles, "x.h", "drivers/amd/display/dc/x.h"),
            ["drivers/amd"]
        );
        assert_eq!(
            ways(&makefiles, "x.h", "drivers/amd/display/dc/inc/x.h"),
            ["drivers/amd"]
        );
        assert_eq!(
            ways(&makefiles, "x.h", "drivers/other/x.h"),
            ["drivers/other"]
        );
    }

    #[test]
    fn an_object_is_named_by_way_of_an_included_makefile() {
        let makefiles = read(&[
            (
                "arch/x86/kvm/Makefile",
                "include $(srctree)/virt/kvm/Makefile.kvm\n",
            ),
            (
                "virt/kvm/Makefile.kvm",
                "kvm-y := $(KVM)/main.o $(KVM)/fd.o\n",
            ),
            ("drivers/drm/Makefile", "drm-y += ../../accel/accel.o\n"),
            ("fs/Makefile", "obj-y += main.o\n"),
        ]);
        let directories = |object: &str| -> Vec<_> {
            let found = makefiles.directories_that_name(Path::new(object));
            found
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        assert_eq!(directories("virt/kvm/fd.o"), ["arch/x86/kvm", "virt/kvm"]);
        assert_eq!(
            directories("virt/kvm/main.o"),
            ["arch/x86/kvm", "fs", "virt/kvm"]
        );
        assert_eq!(directories("accel/accel.o"), ["drivers/drm"]);
        assert!(directories("mm/other.o").is_empty());
    }

    #[test]
    fn a_source_can_have_objects_elsewhere() {
        let makefiles = read(&[(
            "drivers/xe/Makefile",
            "$(obj)/shown/%.o: $(srctree)/drivers/i915/%.c FORCE\n\t$(call x)\n\
             $(obj)/own.o: $(src)/own.c\n$(obj)/$(other).o: $(src)/z.c\n",
        )]);
        let objects = |path: &str| makefiles.objects_elsewhere(Path::new(path));
        assert_eq!(
            objects("drivers/i915/a/b.c"),
            [PathBuf::from("drivers/xe/shown/a/b.o")]
        );
        assert!(objects("drivers/xe/own.c").is_empty());
        assert!(objects("fs/a.c").is_empty());
    }
}
