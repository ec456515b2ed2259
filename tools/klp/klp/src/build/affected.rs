// SPDX-License-Identifier: GPL-2.0

//! Which objects a fix affects.

use super::command::{object_of, record_of, Record};
use super::configured::Configured;
use super::includes::Includes;
use super::kbuild;
use super::overlay::{Changed, Kind};
use super::tree::{Of, Tree};
use anyhow::{anyhow, bail, Context, Result};
use memchr::memmem::{self, Finder};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// How many objects are compiled at most to find out whether they include a changed header.
const MOST_ASKED: usize = 1000;

/// An object that a fix affects.
#[derive(Debug, Clone)]
pub struct Unit {
    /// How it is compiled.
    pub record: Record,
    /// The changed files that it is made of.
    pub because: BTreeSet<PathBuf>,
}

/// What a fix affects.
#[derive(Debug, Default)]
pub struct Affected {
    /// The objects, in the order of their paths.
    pub units: Vec<Unit>,
    /// What was left out, and why, for people.
    pub notes: Vec<String>,
}

/// How objects are found in a tree in which not everything was compiled.
pub struct Ask {
    /// How many compilers may run at a time.
    pub jobs: usize,
}

/// Finds the objects that are made of changed files.
///
/// Without `ask`, the records in the build directory are all there are. With it, the build directory
/// was prepared for klp build only: what is not there yet is compiled in it, to have its record.
///
/// # Errors
///
/// If a changed C file cannot be compiled, the tree has no records, or too many objects would have
/// to be compiled.
pub fn units(tree: &Tree, changed: &[Changed], ask: Option<&Ask>) -> Result<Affected> {
    let mut affected = Affected::default();
    for file in changed {
        if let Kind::Ignored(what) = file.kind {
            let path = file.path.display();
            affected.notes.push(format!("{path} is left out: {what}"));
        }
    }
    // Who includes a new file is changed, too.
    let files: Vec<_> = changed
        .iter()
        .filter(|file| file.is_code() && !file.is_new)
        .collect();
    if files.is_empty() {
        return Ok(affected);
    }

    let mut objects = Objects::recorded(tree, &files)?;
    match ask {
        Some(ask) => objects.ask(tree, &files, ask)?,
        None if objects.records == 0 => bail!(
            "nothing was compiled in {}: klp build needs the directory that the kernel was built in",
            tree.build.display()
        ),
        None => {}
    }
    affected.notes.append(&mut objects.notes);

    let found: BTreeSet<_> = objects
        .units
        .values()
        .flat_map(|unit| unit.because.iter().cloned())
        .collect();
    for file in files {
        if found.contains(&file.path) {
            continue;
        }
        let path = file.path.display();
        let outside = objects
            .outside
            .iter()
            .find(|(_, because)| because.contains(&file.path));
        match outside {
            Some((place, _)) if file.kind == Kind::C => {
                bail!("{path} is a part of {place}, which a livepatch cannot change")
            }
            Some(_) => {}
            None => affected.notes.push(format!(
                "{path} is left out: nothing in this kernel is made of it"
            )),
        }
    }
    for place in objects.outside.keys() {
        affected.notes.push(format!(
            "{place} also includes what is changed, and is not patched"
        ));
    }
    if !objects.assembly.is_empty() {
        let files: Vec<_> = objects
            .assembly
            .iter()
            .map(|object| object.with_extension("S").display().to_string())
            .collect();
        affected.notes.push(format!(
            "assembly also includes what is changed, and is not patched: {}",
            files.join(", ")
        ));
    }
    affected.units = objects.units.into_values().collect();
    Ok(affected)
}

/// What an object belongs to, by its path, if that is not the kernel that runs.
fn place(object: &Path) -> Option<&'static str> {
    let parts: Vec<_> = object.iter().filter_map(OsStr::to_str).collect();
    match parts.as_slice() {
        ["arch", _, "boot", ..]
        | ["arch", _, "realmode", "rm", ..]
        | ["arch", _, "purgatory", ..]
        | ["drivers", "firmware", "efi", "libstub", ..] => Some(BOOT),
        _ => None,
    }
}

/// The same, also by the macros that the kernel's makefiles define for such code.
fn recorded_place(object: &Path, record: &[u8]) -> Option<&'static str> {
    let has = |flag: &[u8]| memmem::find(record, flag).is_some();
    match place(object) {
        None if has(b" -DBUILD_VDSO") => Some("the vdso"),
        None if has(b" -D__DISABLE_EXPORTS") || has(b" -D_SETUP") => Some(BOOT),
        place => place,
    }
}

const BOOT: &str = "the code that runs before the kernel does";

/// Objects that are made of changed files.
#[derive(Default)]
struct Objects {
    /// By their paths.
    units: BTreeMap<PathBuf, Unit>,
    /// Those of assembly.
    assembly: BTreeSet<PathBuf>,
    /// What is not the kernel that runs, and which changed files it is made of.
    outside: BTreeMap<&'static str, BTreeSet<PathBuf>>,
    /// How many records of C files there are.
    records: usize,
    notes: Vec<String>,
}

/// What a record says of changed files.
enum Hit {
    Unit(Box<Unit>),
    Assembly(PathBuf),
    Outside(&'static str, BTreeSet<PathBuf>),
}

impl Objects {
    /// By the records of the build directory.
    fn recorded(tree: &Tree, files: &[&Changed]) -> Result<Self> {
        let paths: Vec<_> = files.iter().map(|file| file.path.as_path()).collect();
        let finders = finders(&paths);
        let records = records(tree)?;
        let hits = records
            .par_iter()
            .map(|(object, path)| {
                let bytes =
                    fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                hit(tree, object, &bytes, &finders)
                    .with_context(|| format!("cannot use {}", path.display()))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut objects = Objects {
            records: records.len(),
            ..Objects::default()
        };
        for hit in hits.into_iter().flatten() {
            objects.add(hit);
        }
        Ok(objects)
    }

    fn add(&mut self, hit: Hit) {
        match hit {
            Hit::Unit(unit) => {
                let object = unit.record.command.object().to_owned();
                self.units.insert(object, *unit);
            }
            Hit::Assembly(object) => {
                self.assembly.insert(object);
            }
            Hit::Outside(place, because) => {
                self.outside.entry(place).or_default().extend(because);
            }
        }
    }

    /// Has kbuild compile what may be made of the files and has no record.
    fn ask(&mut self, tree: &Tree, files: &[&Changed], ask: &Ask) -> Result<()> {
        let includes = Includes::read(tree)?;
        let mut configured = Configured::new(tree);
        let mut wanted = BTreeSet::new();
        let mut needed = BTreeSet::new();
        for file in files {
            let includers = includes.includers(&file.path);
            // Others may include a file of that name, or one that is compiled itself as well.
            if file.kind == Kind::C
                && (includers.is_empty() || configured.names(&kbuild::object(&file.path))?)
            {
                needed.insert(file.path.clone());
            }
            wanted.extend(includers);
        }
        wanted.extend(needed.iter().cloned());
        let mut objects = Vec::new();
        for source in wanted {
            let object = kbuild::object(&source);
            if place(&object).is_none()
                && !is_recorded(tree, &object)?
                && !configured.leaves_out(&object)?
            {
                objects.push((source, object));
            }
        }
        if objects.is_empty() {
            return Ok(());
        }
        if objects.len() > MOST_ASKED {
            bail!(
                "{} files of this kernel may include what the fix changes: build the kernel in {} first",
                objects.len(),
                tree.build.display()
            );
        }
        let names: Vec<_> = objects.iter().map(|(_, object)| object.clone()).collect();
        let complaint = kbuild::compile(tree, &names, ask.jobs)?;
        let paths: Vec<_> = files.iter().map(|file| file.path.as_path()).collect();
        let finders = finders(&paths);
        let mut missing = Vec::new();
        for (source, object) in &objects {
            let path = tree.build.join(record_of(object));
            let Ok(bytes) = fs::read(&path) else {
                missing.push(source);
                continue;
            };
            let hit = hit(tree, object, &bytes, &finders)
                .with_context(|| format!("cannot use {}", path.display()))?;
            if let Some(hit) = hit {
                self.add(hit);
            }
        }
        for source in missing {
            let path = source.display();
            if needed.contains(source) {
                return Err(not_made(tree, source, complaint.as_deref()));
            }
            if !includes.is_included(source) {
                self.notes.push(format!(
                    "{path} may include what is changed, and is left out: kbuild does not compile it"
                ));
            }
        }
        Ok(())
    }
}

/// Whether an object has a record. One that ends in the middle, as make was killed, goes away with
/// its object, so that both are made anew.
fn is_recorded(tree: &Tree, object: &Path) -> Result<bool> {
    let record = tree.build.join(record_of(object));
    let Ok(text) = fs::read(&record) else {
        return Ok(false);
    };
    // What comes last: a rule for the dependencies without a recipe.
    if memmem::find(&text, b"\n$(deps_").is_some() {
        return Ok(true);
    }
    for file in [record, tree.build.join(object)] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => {}
        }
    }
    Ok(false)
}

/// kbuild made no object of a C file.
fn not_made(tree: &Tree, source: &Path, complaint: Option<&str>) -> anyhow::Error {
    let complaint = complaint.unwrap_or("it said nothing");
    anyhow!(
        "kbuild cannot compile {} in {}:\n{complaint}",
        source.display(),
        tree.build.display()
    )
}

/// The records of C files and assembly in the build directory: the object from there, and the path
/// of the record.
fn records(tree: &Tree) -> Result<Vec<(PathBuf, PathBuf)>> {
    // Programs, and what is only made to build.
    let is_wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_str().unwrap_or_default();
        entry.depth() != 1
            || !entry.file_type().is_dir()
            || !matches!(name, ".git" | "Documentation" | "tools" | "scripts" | "usr")
    };
    let (directory, is_wanted): (_, &dyn Fn(&walkdir::DirEntry) -> bool) = match tree.of {
        Of::Kernel => (&tree.build, &is_wanted),
        Of::Module { .. } => (&tree.source, &|_| true),
    };
    let mut records = Vec::new();
    for entry in walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_entry(is_wanted)
    {
        let entry = entry.context("cannot read the build directory")?;
        let Some(object) = object_of(entry.path()) else {
            continue;
        };
        // The descriptions of modules are made anew for each one.
        let is_description = object.to_str().is_some_and(|name| name.ends_with(".mod.o"));
        if !is_description {
            // kbuild names objects outside of its directory by their whole paths.
            let name = object.strip_prefix(&tree.build).unwrap_or(&object);
            records.push((name.to_owned(), entry.path().to_owned()));
        }
    }
    Ok(records)
}

/// A changed file, and what finds its name.
type Names<'a> = Vec<(&'a Path, Finder<'a>)>;

fn finders<'a>(paths: &[&'a Path]) -> Names<'a> {
    paths
        .iter()
        .map(|&path| {
            let name = path.file_name().unwrap_or_default();
            (path, Finder::new(name.as_encoded_bytes()))
        })
        .collect()
}

/// What the record of an object says of changed files.
fn hit(tree: &Tree, object: &Path, bytes: &[u8], names: &Names<'_>) -> Result<Option<Hit>> {
    let named: Vec<_> = names
        .iter()
        .filter(|(path, finder)| may_name(bytes, path, finder))
        .map(|(path, _)| *path)
        .collect();
    if named.is_empty() {
        return Ok(None);
    }
    let place = recorded_place(object, bytes);
    let Some(record) = Record::parse(tree, object, bytes)? else {
        let is_assembly = tree.source.join(object.with_extension("S")).exists();
        let is_hit = is_assembly && place.is_none();
        return Ok(is_hit.then(|| Hit::Assembly(object.to_owned())));
    };
    let because: BTreeSet<_> = record
        .dependencies
        .iter()
        .filter_map(|dependency| record.command.in_source(tree, dependency))
        .filter(|path| named.contains(&path.as_path()))
        .collect();
    if because.is_empty() {
        return Ok(None);
    }
    Ok(Some(match place {
        Some(place) => Hit::Outside(place, because),
        None => Hit::Unit(Box::new(Unit { record, because })),
    }))
}

/// Whether a record may name the path: as it is, or by way of a parent directory.
fn may_name(record: &[u8], path: &Path, finder: &Finder<'_>) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    let name = finder.needle().len();
    finder.find_iter(record).any(|at| {
        let end = at + name;
        let ends = record.get(end).is_none_or(u8::is_ascii_whitespace);
        if !ends {
            return false;
        }
        let word = record.get(..at).unwrap_or_default();
        let begin = word
            .iter()
            .rposition(u8::is_ascii_whitespace)
            .map_or(0, |space| space + 1);
        let word = record.get(begin..end).unwrap_or_default();
        word.ends_with(path) || memmem::find(word, b"../").is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::{write, Kernel, Layout, LAYOUTS};

    fn changed(path: &str) -> Changed {
        Changed {
            path: path.into(),
            kind: match path.rsplit_once('.') {
                Some((_, "c")) => Kind::C,
                Some((_, "h")) => Kind::Header,
                _ => Kind::Ignored("documentation"),
            },
            is_new: false,
            is_deleted: false,
        }
    }

    fn objects(affected: &Affected) -> Vec<&str> {
        let objects = affected
            .units
            .iter()
            .map(|unit| unit.record.command.object());
        objects
            .map(|object| object.to_str().expect("text"))
            .collect()
    }

    const CASES: &[(&str, &[&str])] = &[
        ("fs/one.c", &["fs/one.o"]),
        ("fs/part.c", &["fs/two.o"]),
        ("include/linux/thing.h", &["fs/one.o"]),
        ("include/linux/rarer.h", &["fs/two.o"]),
        ("fs/near.h", &["fs/deep/three.o"]),
        ("fs/deep/near.h", &["fs/deep/three.o"]),
    ];

    #[test]
    fn records_tell_what_is_made_of_a_file() {
        for layout in LAYOUTS {
            let kernel = Kernel::built(layout);
            for (path, expected) in CASES {
                let affected = units(&kernel.tree, &[changed(path)], None).expect(path);
                assert_eq!(objects(&affected), *expected, "{layout:?} {path}");
                assert!(affected.notes.is_empty(), "{:?}", affected.notes);
                let because = affected.units.first().map(|unit| &unit.because);
                assert_eq!(because, Some(&BTreeSet::from([PathBuf::from(path)])));
            }
        }
    }

    #[test]
    fn kbuild_is_asked_where_nothing_was_compiled() {
        for layout in LAYOUTS {
            for (path, expected) in CASES {
                let kernel = Kernel::new(layout);
                let ask = Ask { jobs: 1 };
                let affected = units(&kernel.tree, &[changed(path)], Some(&ask)).expect(path);
                assert_eq!(objects(&affected), *expected, "{layout:?} {path}");
                // Only what may be affected was compiled.
                assert!(!kernel.tree.build.join("mm/unused.o").exists());
            }
        }
    }

    #[test]
    fn what_the_configuration_leaves_out_is_not_compiled() {
        let kernel = Kernel::new(Layout::Apart);
        write(
            &kernel.tree.source.join("fs/Makefile"),
            "obj-y += one.o\nobj-$(CONFIG_DEEP) += deep/\n",
        );
        let ask = Ask { jobs: 1 };
        let files = [changed("fs/deep/three.c"), changed("fs/one.c")];
        let affected = units(&kernel.tree, &files, Some(&ask)).expect("they are found");
        assert_eq!(objects(&affected), ["fs/one.o"]);
        let notes = affected.notes.join("\n");
        assert!(notes.contains("fs/deep/three.c is left out"), "{notes}");
        assert!(!kernel.tree.build.join("fs/deep/three.o").exists());
    }

    #[test]
    fn what_the_compiler_does_not_read_is_no_part() {
        let kernel = Kernel::new(Layout::Apart);
        write(
            &kernel.tree.source.join("fs/maybe.c"),
            "#if 0\n#include <linux/rarer.h>\n#endif\nint maybe;\n",
        );
        let ask = Ask { jobs: 1 };
        let affected = units(
            &kernel.tree,
            &[changed("include/linux/rarer.h")],
            Some(&ask),
        );
        assert_eq!(objects(&affected.expect("they are found")), ["fs/two.o"]);
        assert!(kernel.tree.build.join("fs/maybe.o").exists());
    }

    #[test]
    fn an_includer_that_kbuild_cannot_compile_is_named_unless_it_is_included_itself() {
        let kernel = Kernel::new(Layout::Apart);
        for (path, text) in [
            (
                "fs/broken.c",
                "#include <linux/rarer.h>\nint nonsense nonsense;\n",
            ),
            ("fs/inner.c", "#include <linux/rarer.h>\nNEEDED x;\n"),
            ("fs/outer.c", "#define NEEDED int\n#include \"inner.c\"\n"),
        ] {
            write(&kernel.tree.source.join(path), text);
        }
        let ask = Ask { jobs: 1 };
        let files = [changed("include/linux/rarer.h")];
        let affected = units(&kernel.tree, &files, Some(&ask)).expect("they are found");
        assert_eq!(objects(&affected), ["fs/outer.o", "fs/two.o"]);
        let notes = affected.notes.join("\n");
        assert!(
            notes.contains("fs/broken.c may include what is changed"),
            "{notes}"
        );
        assert!(!notes.contains("inner.c"), "{notes}");
    }

    #[test]
    fn a_file_that_the_kernel_does_not_have_is_left_out_with_a_note() {
        let kernel = Kernel::built(Layout::Apart);
        let files = [changed("mm/unused.c"), changed("Documentation/one.rst")];
        let affected = units(&kernel.tree, &files, None).expect("they are found");
        assert!(affected.units.is_empty());
        let notes = affected.notes.join("\n");
        assert!(
            notes.contains("mm/unused.c is left out: nothing in this kernel"),
            "{notes}"
        );
        assert!(
            notes.contains("one.rst is left out: documentation"),
            "{notes}"
        );
    }

    #[test]
    fn without_records_there_is_an_error() {
        let kernel = Kernel::new(Layout::Apart);
        let error = units(&kernel.tree, &[changed("fs/one.c")], None).expect_err("there are none");
        assert!(
            error.to_string().contains("nothing was compiled in"),
            "{error}"
        );
    }

    #[test]
    fn what_kbuild_cannot_compile_is_an_error_with_its_words() {
        let kernel = Kernel::new(Layout::Apart);
        write(
            &kernel.tree.source.join("fs/one.c"),
            "int nonsense nonsense;\n",
        );
        let ask = Ask { jobs: 1 };
        let error = units(&kernel.tree, &[changed("fs/one.c")], Some(&ask)).expect_err("it fails");
        let message = error.to_string();
        assert!(
            message.contains("cannot compile fs/one.c") && message.contains("nonsense"),
            "{message}"
        );
    }

    #[test]
    fn code_outside_of_the_kernel_is_not_patched() {
        let kernel = Kernel::built(Layout::Apart);
        kernel.make(&["MORE=-DBUILD_VDSO"], &["fs/two.o"]);
        let error = units(&kernel.tree, &[changed("fs/part.c")], None).expect_err("it is outside");
        assert!(error.to_string().contains("a part of the vdso"), "{error}");
        let affected = units(&kernel.tree, &[changed("include/linux/rare.h")], None);
        let affected = affected.expect("a header may be");
        assert!(affected.units.is_empty());
        assert!(affected.notes.join("\n").contains("the vdso also includes"));
        assert_eq!(
            place(Path::new("arch/x86/boot/compressed/misc.o")),
            Some(BOOT)
        );
        assert_eq!(place(Path::new("arch/x86/kernel/reboot.o")), None);
    }

    #[test]
    fn assembly_that_includes_a_header_is_named() {
        let kernel = Kernel::built(Layout::Apart);
        let source = kernel.tree.source.display();
        write(
            &kernel.tree.build.join("lib/.entry.o.cmd"),
            &format!(
                "savedcmd_lib/entry.o := gcc -c -o lib/entry.o {source}/lib/entry.S\n\n\
                 source_lib/entry.o := {source}/lib/entry.S\n\ndeps_lib/entry.o := \\\n  \
                 {source}/include/linux/thing.h \\\n\n"
            ),
        );
        let affected = units(&kernel.tree, &[changed("include/linux/thing.h")], None);
        let notes = affected.expect("they are found").notes.join("\n");
        assert!(notes.contains("is not patched: lib/entry.S"), "{notes}");
    }
}
