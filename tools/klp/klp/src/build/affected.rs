// SPDX-License-Identifier: GPL-2.0

//! Which objects a fix affects.

use super::command::{is_c, object_of, record_of, Product, Record};
use super::configured::{is_by_way, Configured, Way};
use super::includes::Includes;
use super::kbuild;
use super::overlay::{Changed, Kind};
use super::progress::Progress;
use super::tree::{Of, Tree};
use anyhow::{anyhow, bail, Context, Result};
use memchr::memmem::{self, Finder};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Where kbuild makes headers of numbers beside the directories of the kernel: for modpost.
const NUMBERS_OF_MODULES: &str = "scripts/mod/devicetable-offsets.s";

/// An object that a fix affects.
#[derive(Debug, Clone)]
pub struct Unit {
    /// How it is compiled.
    pub record: Record,
    /// The changed files that it is made of.
    pub because: BTreeSet<PathBuf>,
}

/// What is made of changed files and cannot be patched. It may come out the same.
#[derive(Debug, Clone)]
pub struct Other {
    /// How it is made.
    pub record: Record,
    /// What it belongs to, if that is not the kernel that runs.
    pub place: Option<&'static str>,
}

/// What a fix affects.
#[derive(Debug, Default)]
pub struct Affected {
    /// The objects, in the order of their paths.
    pub units: Vec<Unit>,
    /// What else is made of changed files.
    pub others: Vec<Other>,
    /// What was left out, and why, for people.
    pub notes: Vec<String>,
}

/// How objects are found in a tree in which not everything was compiled.
pub struct Ask<'a> {
    /// How many compilers may run at a time.
    pub jobs: usize,
    /// How many objects may be compiled to find out whether they include a changed header.
    pub most: usize,
    /// Where it says how far it is.
    pub progress: &'a Progress,
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
        .flat_map(|unit| unit.because.iter())
        .chain(&objects.because)
        .cloned()
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
            None if file.path.starts_with("tools") => affected.notes.push(format!(
                "{path} is left out: a program, no part of the kernel"
            )),
            None => affected.notes.push(format!(
                "{path} is left out: nothing in this kernel is made of it"
            )),
        }
    }
    affected.others = objects.others.into_values().collect();
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
    /// What is no unit, by its path.
    others: BTreeMap<PathBuf, Other>,
    /// The changed files that those are made of that belong to the kernel which runs.
    because: BTreeSet<PathBuf>,
    /// What is not the kernel that runs, and which changed files it is made of.
    outside: BTreeMap<&'static str, BTreeSet<PathBuf>>,
    /// How many records of C files there are.
    records: usize,
    notes: Vec<String>,
}

/// What a record says of changed files.
enum Hit {
    Unit(Unit),
    Other(Other, BTreeSet<PathBuf>),
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
                self.units.insert(object, unit);
            }
            Hit::Other(other, because) => {
                match other.place {
                    Some(place) => self.outside.entry(place).or_default().extend(because),
                    None => self.because.extend(because),
                }
                let object = other.record.command.object().to_owned();
                self.others.insert(object, other);
            }
        }
    }

    /// Has kbuild compile what may be made of the files and has no record.
    fn ask(&mut self, tree: &Tree, files: &[&Changed], ask: &Ask<'_>) -> Result<()> {
        let includes = Includes::read(tree)?;
        let mut configured = Configured::new(tree);
        let mut wanted = BTreeSet::new();
        let mut needed = BTreeSet::new();
        for file in files {
            let includers = includes.includers(&file.path);
            // Others may include it, also beside its being compiled itself.
            if file.kind == Kind::C
                && !file.path.starts_with("tools")
                && !is_numbers(tree, &file.path)
                && (!includes.is_included(&file.path)
                    || configured.names(&kbuild::object(&file.path))?)
            {
                needed.insert(file.path.clone());
            }
            wanted.extend(includers);
        }
        wanted.extend(needed.iter().cloned());
        // Those of sources that are compiled for another directory.
        let changed = files.iter().filter(|file| file.kind == Kind::C);
        let sources: BTreeSet<_> = changed.map(|file| &file.path).chain(&wanted).collect();
        let mut objects = Vec::new();
        for source in sources {
            let own = kbuild::object(source);
            let is_object = own.extension() == Some(OsStr::new("o"));
            let is_own = wanted.contains(source)
                && (is_object || is_linker_script(&own))
                && !is_numbers(tree, source);
            let own = match is_own {
                true => known_as(own, &includes, &mut configured)?,
                false => None,
            };
            let elsewhere = includes.objects_elsewhere(source);
            for object in own.into_iter().chain(elsewhere) {
                if place(&object).is_none()
                    && record(tree, &object)?.is_none()
                    && !configured.leaves_out(&object)?
                {
                    objects.push((source.clone(), object));
                }
            }
        }
        if objects.is_empty() {
            return Ok(());
        }
        if objects.len() > ask.most {
            bail!(
                "{count} files of this kernel may include what the fix changes, and each has to be \
                 compiled once to know: allow that with --max-files {count}",
                count = objects.len(),
            );
        }
        let mut at_once = Vec::new();
        let mut in_turn = Vec::new();
        for (_, object) in &objects {
            match configured.is_made_twice(object)? {
                true => in_turn.push(object.clone()),
                false => at_once.push(object.clone()),
            }
        }
        let all = objects.len();
        let mut complaints = String::new();
        // Of those that kbuild makes in two ways, the way that it goes last is their own: the deeper
        // directory. Both at the same time would spoil each other's files.
        for (names, jobs, before) in [(&at_once, ask.jobs, 0), (&in_turn, 1, at_once.len())] {
            let complaint = kbuild::compile(tree, names, jobs, |done| {
                ask.progress
                    .count(before.saturating_add(done).min(all), all);
            })?;
            complaints.extend(complaint);
        }
        let paths: Vec<_> = files.iter().map(|file| file.path.as_path()).collect();
        let finders = finders(&paths);
        let mut missing = Vec::new();
        for (source, object) in &objects {
            let Some(bytes) = record(tree, object)? else {
                missing.push((source, object));
                continue;
            };
            let path = tree.build.join(record_of(object));
            let hit = hit(tree, object, &bytes, &finders)
                .with_context(|| format!("cannot use {}", path.display()))?;
            if let Some(hit) = hit {
                self.add(hit);
            }
        }
        for (source, object) in missing {
            let path = source.display();
            // What the makefiles name and kbuild has begun is a part of the kernel.
            let is_named = is_by_way(object) || configured.names(object)?;
            let is_part = is_named && is_c(source) && has_failed(&complaints, object);
            if is_part || needed.contains(source) {
                return Err(not_made(tree, source, &complaints));
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

/// The name under which kbuild knows an object: of one that only the makefile of another directory
/// names, that is a way from there. None if the configuration leaves it out there.
fn known_as(
    object: PathBuf,
    includes: &Includes,
    configured: &mut Configured<'_>,
) -> Result<Option<PathBuf>> {
    if configured.names(&object)? {
        return Ok(Some(object));
    }
    let mut is_off = false;
    for directory in includes.directories_that_name(&object) {
        match configured.way(&directory, &object)? {
            Way::On(way) => return Ok(Some(way)),
            Way::Off => is_off = true,
            Way::Unknown => {}
        }
    }
    Ok((!is_off).then_some(object))
}

/// Whether kbuild only takes numbers from a C file. It has done so when the source was prepared.
fn is_numbers(tree: &Tree, source: &Path) -> bool {
    let numbers = source.with_extension("s");
    tree.build.join(record_of(&numbers)).is_file()
}

/// Whether it is the linker script of the kernel itself.
fn is_linker_script(object: &Path) -> bool {
    let parts: Vec<_> = object.iter().filter_map(OsStr::to_str).collect();
    matches!(parts.as_slice(), ["arch", _, "kernel", "vmlinux.lds"])
}

/// The record of an object, if both are there. One that ends in the middle, as make was killed, goes
/// away with the object, so that both are made anew; so does the record of one way to make an object
/// where make has failed on the other.
fn record(tree: &Tree, object: &Path) -> Result<Option<Vec<u8>>> {
    let record = tree.build.join(record_of(object));
    let Ok(text) = fs::read(&record) else {
        return Ok(None);
    };
    // What comes last: a rule for the dependencies without a recipe.
    let is_whole = memmem::find(&text, b"\n$(deps_").is_some();
    if is_whole && tree.build.join(object).is_file() {
        return Ok(Some(text));
    }
    for file in [record, tree.build.join(object)] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Whether make says that the command for an object has failed, and not that there is none.
fn has_failed(complaint: &str, object: &Path) -> bool {
    let end = format!(": {}] ", object.display());
    let mut lines = complaint.lines();
    lines.any(|line| line.contains("*** [") && line.contains(&end))
}

/// kbuild made no object of a C file.
fn not_made(tree: &Tree, source: &Path, complaints: &str) -> anyhow::Error {
    let complaint = match complaints {
        "" => "it said nothing",
        said => said,
    };
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
    let numbers = tree.build.join(record_of(Path::new(NUMBERS_OF_MODULES)));
    if numbers.is_file() {
        records.push((NUMBERS_OF_MODULES.into(), numbers));
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
        return Ok(None);
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
    let product = record.command.product();
    // Of the scripts of what is linked into the kernel, nothing is left but what the kernel's has.
    if product == Product::LinkerScript && !is_linker_script(object) {
        return Ok(None);
    }
    Ok(Some(match (place, product) {
        (None, Product::Object) => Hit::Unit(Unit { record, because }),
        _ => Hit::Other(Other { record, place }, because),
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
    use std::sync::LazyLock;

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

    fn ask() -> Ask<'static> {
        Ask {
            jobs: 1,
            most: 10,
            progress: &QUIET,
        }
    }

    static QUIET: LazyLock<Progress> = LazyLock::new(|| Progress::new(true));

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
                let ask = ask();
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
        let ask = ask();
        let files = [changed("fs/deep/three.c"), changed("fs/one.c")];
        let affected = units(&kernel.tree, &files, Some(&ask)).expect("they are found");
        assert_eq!(objects(&affected), ["fs/one.o"]);
        let notes = affected.notes.join("\n");
        assert!(notes.contains("fs/deep/three.c is left out"), "{notes}");
        assert!(!kernel.tree.build.join("fs/deep/three.o").exists());
    }

    #[test]
    fn a_record_that_ends_in_the_middle_is_none() {
        let kernel = Kernel::new(Layout::Apart);
        let makefile = kernel.tree.build.join("Makefile");
        let whole = fs::read_to_string(&makefile).expect("it is there");
        let half = "fs/one.o: FORCE\n\
                    \t@mkdir -p fs && echo 'savedcmd_fs/one.o := gcc' >fs/.one.o.cmd\n\
                    \t@echo >&2 'fixdep: error opening file'; false\n";
        write(&makefile, &format!("{whole}{half}"));
        let ask = ask();
        let affected = || units(&kernel.tree, &[changed("fs/one.c")], Some(&ask));
        let error = affected().expect_err("it fails").to_string();
        assert!(
            error.starts_with("kbuild cannot compile fs/one.c in "),
            "{error}"
        );
        assert!(error.contains("fixdep: error opening file"), "{error}");
        write(&makefile, &whole);
        assert_eq!(objects(&affected().expect("it is found")), ["fs/one.o"]);
    }

    #[test]
    fn what_only_an_unknown_line_may_include_is_compiled_itself() {
        let kernel = Kernel::new(Layout::Apart);
        let unknown = kernel.tree.source.join("mm/unknown.c");
        write(&unknown, "#include UNKNOWN\n");
        let ask = ask();
        let affected = units(&kernel.tree, &[changed("fs/deep/three.c")], Some(&ask));
        assert_eq!(
            objects(&affected.expect("it is found")),
            ["fs/deep/three.o"]
        );
    }

    #[test]
    fn a_file_that_another_directory_names_is_compiled_from_there() {
        for layout in LAYOUTS {
            let kernel = Kernel::new(layout);
            for (path, text) in [
                ("virt/main.c", "#include <linux/rarer.h>\nint main_;\n"),
                ("virt/off.c", "#include <linux/rarer.h>\nint off;\n"),
                (
                    "virt/Makefile.virt",
                    "virt-y := $(VIRT)/main.o\nvirt-$(CONFIG_OFF) += $(VIRT)/off.o\n",
                ),
                (
                    "arch/x86/virt/Makefile",
                    "VIRT := ../../../virt\ninclude $(srctree)/virt/Makefile.virt\nobj-y += virt.o\n",
                ),
                ("arch/x86/virt/own.c", ""),
            ] {
                write(&kernel.tree.source.join(path), text);
            }
            for (path, expected) in [
                ("virt/main.c", vec!["virt/main.o"]),
                ("include/linux/rarer.h", vec!["fs/two.o", "virt/main.o"]),
                ("virt/off.c", vec![]),
            ] {
                let ask = ask();
                let affected = units(&kernel.tree, &[changed(path)], Some(&ask)).expect(path);
                assert_eq!(objects(&affected), expected, "{layout:?} {path}");
                let record = kernel.tree.build.join("virt/.main.o.cmd");
                let record = fs::read_to_string(record).expect("it is recorded");
                assert!(
                    record.starts_with("savedcmd_arch/x86/virt/../../../virt/main.o"),
                    "{record}"
                );
            }
        }
    }

    #[test]
    fn what_the_compiler_does_not_read_is_no_part() {
        let kernel = Kernel::new(Layout::Apart);
        write(
            &kernel.tree.source.join("fs/maybe.c"),
            "#if 0\n#include <linux/rarer.h>\n#endif\nint maybe;\n",
        );
        let ask = ask();
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
        let ask = ask();
        let files = [changed("include/linux/rarer.h")];
        let affected = units(&kernel.tree, &files, Some(&ask)).expect("they are found");
        assert_eq!(objects(&affected), ["fs/outer.o", "fs/two.o"]);
        let notes = affected.notes.join("\n");
        assert!(
            notes.contains("fs/broken.c may include what is changed"),
            "{notes}"
        );
        assert!(!notes.contains("inner.c"), "{notes}");
        // The kernel has it.
        let makefile = kernel.tree.source.join("fs/Makefile");
        write(&makefile, "obj-y += broken.o\n");
        let error = units(&kernel.tree, &files, Some(&ask)).expect_err("it is a part");
        let message = error.to_string();
        assert!(message.contains("cannot compile fs/broken.c"), "{message}");
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
        let ask = ask();
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
        assert!(affected.units.is_empty() && affected.notes.is_empty());
        let places: Vec<_> = affected.others.iter().map(|other| other.place).collect();
        assert_eq!(places, [Some("the vdso")]);
        assert_eq!(
            place(Path::new("arch/x86/boot/compressed/misc.o")),
            Some(BOOT)
        );
        assert_eq!(place(Path::new("arch/x86/kernel/reboot.o")), None);
    }

    #[test]
    fn too_many_files_are_not_compiled_unless_that_is_asked_for() {
        let kernel = Kernel::new(Layout::Apart);
        let files = [changed("include/linux/thing.h"), changed("fs/near.h")];
        let mut ask = ask();
        ask.most = 1;
        let error = units(&kernel.tree, &files, Some(&ask)).expect_err("two are too many");
        assert!(error.to_string().contains("--max-files 2"), "{error}");
        assert!(!kernel.tree.build.join("fs/one.o").exists());
        ask.most = 2;
        let affected = units(&kernel.tree, &files, Some(&ask)).expect("two are allowed");
        assert_eq!(objects(&affected), ["fs/deep/three.o", "fs/one.o"]);
    }

    #[test]
    fn a_part_of_a_program_counts_where_the_kernel_includes_it() {
        for is_built in [false, true] {
            let kernel = Kernel::new(Layout::Apart);
            for (path, text) in [
                (
                    "tools/lib/shared.c",
                    "#include \"shared.h\"\nint shared(void) { return SHARED; }\n",
                ),
                ("tools/lib/shared.h", "#define SHARED 1\n"),
                ("tools/lib/program.c", "#include \"shared.h\"\nint main;\n"),
                ("fs/shared.c", "#include \"../tools/lib/shared.c\"\n"),
            ] {
                write(&kernel.tree.source.join(path), text);
            }
            if is_built {
                kernel.make(&[], &["fs/shared.o"]);
            }
            for path in ["tools/lib/shared.c", "tools/lib/shared.h"] {
                let ask = ask();
                let ask = (!is_built).then_some(&ask);
                let affected = units(&kernel.tree, &[changed(path)], ask).expect(path);
                assert_eq!(objects(&affected), ["fs/shared.o"], "{path}");
                assert!(affected.notes.is_empty(), "{:?}", affected.notes);
                let affected = units(&kernel.tree, &[changed("tools/lib/program.c")], ask);
                let notes = affected.expect("it is a program").notes.join("\n");
                assert!(
                    notes.contains("a program, no part of the kernel"),
                    "{notes}"
                );
            }
        }
    }
}
