// SPDX-License-Identifier: GPL-2.0

//! What is new in one file of a fix, and used in another one.
//!
//! Each file is compared by itself, and what it has that is new stays its own in the livepatch, also
//! where two files have it under one name: that is right for what is static. What the fix defines
//! in one file for others is one thing, and the linker has to join it. All files of a fix become one
//! module, but a kernel and its modules have names of their own: there, the same name may mean
//! several things.

use crate::knowledge::Knowledge;
use anyhow::{bail, ensure, Context, Result};
use object::{elf, Object as _, ObjectSymbol as _, SectionFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file, with its objects before and after the fix.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'a> {
    /// `vmlinux` or the module that it is a part of.
    pub object: &'a str,
    /// The source file.
    pub path: &'a Path,
    /// The object before the fix.
    pub before: &'a [u8],
    /// The object after the fix.
    pub after: &'a [u8],
}

/// The symbols that one file lets others use only with the fix.
#[derive(Debug, Default)]
pub struct Shared {
    /// By the object whose files define or use them.
    by_object: BTreeMap<String, Names>,
}

/// Those of one object.
#[derive(Debug, Default)]
pub struct Names {
    /// What the kernel has not: one file defines it, another one uses it.
    pub new: BTreeSet<String>,
    /// What was static before.
    pub opened: BTreeSet<String>,
}

/// The symbols of an object file.
#[derive(Debug, Default)]
struct Symbols {
    /// What it defines for others.
    global: BTreeSet<String>,
    /// What it defines for itself.
    local: BTreeSet<String>,
    /// What it uses of others.
    used: BTreeSet<String>,
    /// Of what it defines, what has a value that changes, and a name that no compiler has made.
    variables: BTreeSet<String>,
}

impl Symbols {
    fn of(object: &[u8]) -> Result<Self> {
        let file = object::File::parse(object).context("the compiler made no usable object")?;
        let mut symbols = Symbols::default();
        for symbol in file.symbols() {
            let to = match (symbol.is_undefined(), symbol.is_global()) {
                (true, _) => &mut symbols.used,
                (false, true) => &mut symbols.global,
                (false, false) => &mut symbols.local,
            };
            let name = symbol.name()?;
            to.insert(name.to_owned());
            let index = symbol.section_index().filter(|_| is_of_people(name));
            let section = index.and_then(|index| file.section_by_index(index).ok());
            let is_variable = section
                .map(|section| is_of_variables(&section))
                .transpose()?;
            if is_variable == Some(true) {
                symbols.variables.insert(name.to_owned());
            }
        }
        Ok(symbols)
    }
}

fn is_of_people(name: &str) -> bool {
    !name.is_empty() && !name.contains('.') && !name.starts_with("__UNIQUE_ID_")
}

/// Whether what is in the section changes while the kernel runs. Constants with addresses are in one
/// that can be written to where code is independent of its position, as on s390x.
fn is_of_variables<'a>(section: &impl object::ObjectSection<'a>) -> Result<bool> {
    let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
        return Ok(false);
    };
    let name = section.name()?;
    let is_below = |of: &str| {
        name.strip_prefix(of)
            .is_some_and(|rest| !rest.starts_with(|c: char| c != '.'))
    };
    Ok(sh_flags.contains(elf::SHF_WRITE)
        && (is_below(".data") || is_below(".bss"))
        && !is_below(".data.rel.ro"))
}

/// What the fix does to the symbols of a file.
struct Change<'a> {
    unit: Unit<'a>,
    before: Symbols,
    after: Symbols,
}

impl Change<'_> {
    /// What it defines for others, and had not at all.
    fn added(&self) -> impl Iterator<Item = &String> {
        let Symbols { global, local, .. } = &self.before;
        let all = self.after.global.iter();
        all.filter(|&name| !global.contains(name) && !local.contains(name))
    }

    /// What it defines for others, and had for itself.
    fn opened(&self) -> impl Iterator<Item = &String> {
        self.before.local.intersection(&self.after.global)
    }

    /// Variables that it has only with the fix.
    fn added_variables(&self) -> impl Iterator<Item = &String> {
        self.after.variables.difference(&self.before.variables)
    }

    /// Whether it has a variable not any more.
    fn has_lost_variable(&self, name: &str) -> bool {
        self.before.variables.contains(name) && !self.after.variables.contains(name)
    }

    /// Whether others cannot use what they could.
    fn has_lost(&self, name: &str) -> bool {
        self.before.global.contains(name) && !self.after.global.contains(name)
    }
}

impl Shared {
    /// Compares the files of a fix.
    ///
    /// # Errors
    ///
    /// An object is none; a file has what another one had before; two files define the same; or a name
    /// is new that the kernel has already.
    pub fn of<'a>(units: impl Iterator<Item = Unit<'a>>, knowledge: &Knowledge) -> Result<Self> {
        let changes: Vec<_> = units
            .map(|unit| {
                let read =
                    |object| Symbols::of(object).with_context(|| unit.path.display().to_string());
                let (before, after) = (read(unit.before)?, read(unit.after)?);
                Ok(Change {
                    unit,
                    before,
                    after,
                })
            })
            .collect::<Result<_>>()?;

        let mut shared = Shared::default();
        for change in &changes {
            for name in change.added_variables() {
                let mut others = changes.iter();
                let from = others.find(|other| {
                    other.unit.object == change.unit.object && other.has_lost_variable(name)
                });
                // A new one would begin with the value that the old one had at first.
                if let Some(from) = from {
                    bail!(
                        "the fix moves the variable {name} from {} to {}, and the kernel's, with its \
                         value, stays behind: leave it in its file",
                        from.unit.path.display(),
                        change.unit.path.display()
                    );
                }
            }
            let opened = change.opened().cloned();
            shared.names(change.unit.object).opened.extend(opened);
        }
        // By name, and then by object.
        let mut new: BTreeMap<&str, BTreeMap<&str, &Change<'_>>> = BTreeMap::new();
        for change in &changes {
            let Unit { object, path, .. } = change.unit;
            for name in change.added() {
                let lost = changes
                    .iter()
                    .any(|other| other.unit.object == object && other.has_lost(name));
                // Those who call it from other files would stay with the old one.
                ensure!(
                    !lost,
                    "the fix moves {name} from one file to another one, where it is not the \
                     kernel's any more: leave it in its file"
                );
                ensure!(
                    !is_known(knowledge, object, name),
                    "{} has a new {name}, and {object} has one in another file: give it another \
                     name",
                    path.display()
                );
                let same = new.entry(name).or_default().insert(object, change);
                if let Some(other) = same {
                    bail!(
                        "the fix adds {name} both to {} and to {}: let one of them have it, or make \
                         it static",
                        other.unit.path.display(),
                        path.display()
                    );
                }
            }
        }

        for (name, defined) in new {
            // Of the objects that define it, who has users in other files.
            let mut joined: BTreeSet<&str> = BTreeSet::new();
            let users = changes.iter().filter(|one| one.after.used.contains(name));
            for user in users {
                let object = user.unit.object;
                let of = match defined.get_key_value(object) {
                    Some((own, _)) => *own,
                    // What it used before is not new.
                    None if is_known(knowledge, object, name) => continue,
                    None if user.before.used.contains(name) => continue,
                    None => match defined.keys().next() {
                        Some(only) if defined.len() == 1 => *only,
                        _ => continue,
                    },
                };
                joined.insert(of);
                for object in [of, object] {
                    shared.names(object).new.insert(name.to_owned());
                }
            }
            if let [one, other, ..] = joined.into_iter().collect::<Vec<_>>()[..] {
                bail!(
                    "the fix adds {name} to {one} and to {other}, which cannot be told apart in one \
                     livepatch: give one of them another name, or make two livepatches"
                );
            }
        }
        Ok(shared)
    }

    /// Those that files of `object` define or use.
    pub fn in_object(&self, object: &str) -> &Names {
        const NONE: &Names = &Names {
            new: BTreeSet::new(),
            opened: BTreeSet::new(),
        };
        self.by_object.get(object).unwrap_or(NONE)
    }

    fn names(&mut self, object: &str) -> &mut Names {
        self.by_object.entry(object.to_owned()).or_default()
    }
}

/// Whether the object has a symbol of that name which all its files can use.
fn is_known(knowledge: &Knowledge, object: &str, name: &str) -> bool {
    let Some(known) = knowledge.get(object.as_bytes()) else {
        return false;
    };
    let symbols = known.symbols.get(name.as_bytes());
    symbols.iter().any(|symbol| symbol.global)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livepatch_fixtures::{Arch, Module, ARCHES};
    use livepatch_format::elf::Machine;
    use std::fs;

    fn object(arch: Arch, text: &str) -> Vec<u8> {
        Module::new(arch, "unit").source("unit.c", text).object()
    }

    /// What is shared of files, each given by its object, its name, and its source before and after.
    fn shared(
        arch: Arch,
        knowledge: &Knowledge,
        files: &[(&str, &str, &str, &str)],
    ) -> Result<Shared> {
        let compiled: Vec<_> = files
            .iter()
            .map(|(.., before, after)| (object(arch, before), object(arch, after)))
            .collect();
        let units = std::iter::zip(files, &compiled);
        let units = units.map(|((object, path, ..), (before, after))| Unit {
            object,
            path: Path::new(path),
            before,
            after,
        });
        Shared::of(units, knowledge)
    }

    /// The new names of an object.
    fn new(arch: Arch, files: &[(&str, &str, &str, &str)], object: &str) -> Vec<String> {
        let shared = shared(arch, &Knowledge::default(), files).unwrap();
        shared.in_object(object).new.iter().cloned().collect()
    }

    fn refused(arch: Arch, knowledge: &Knowledge, files: &[(&str, &str, &str, &str)]) -> String {
        shared(arch, knowledge, files).unwrap_err().to_string()
    }

    const STATIC: &str = "static __attribute__((noipa)) int fresh(int x) { return x * 3; }\n\
                          int KLP(int x) { return fresh(x); }";
    const DEFINES: &str = "int fresh(int x) { return x * 3; }";
    const USES: &str = "int fresh(int); int user(int x) { return fresh(x); }";

    #[test]
    fn what_is_static_stays_with_its_file() {
        for arch in ARCHES {
            let (one, two) = (STATIC.replace("KLP", "one"), STATIC.replace("KLP", "two"));
            let files = [
                ("vmlinux", "a.c", "", &one[..]),
                ("vmlinux", "b.c", "", &two),
            ];
            assert!(new(arch, &files, "vmlinux").is_empty());
        }
    }

    #[test]
    fn what_one_file_defines_and_another_one_uses_is_one() {
        for arch in ARCHES {
            let files = [
                ("vmlinux", "a.c", "", DEFINES),
                ("vmlinux", "b.c", "", USES),
            ];
            assert_eq!(new(arch, &files, "vmlinux"), ["fresh"]);
            // Nobody else needs it.
            assert!(new(arch, &files[..1], "vmlinux").is_empty());
            let files = [("vmlinux", "a.c", "", DEFINES), ("ext4", "b.c", "", USES)];
            for object in ["vmlinux", "ext4"] {
                assert_eq!(new(arch, &files, object), ["fresh"]);
            }
        }
    }

    #[test]
    fn modules_have_names_of_their_own() {
        let define = |object, path| (object, path, "", DEFINES);
        let empty = Knowledge::default();
        for arch in ARCHES {
            let two = [define("ext4", "a.c"), define("xfs", "b.c")];
            assert!(new(arch, &two, "ext4").is_empty());
            let one_uses = [two[0], two[1], ("xfs", "c.c", "", USES)];
            assert_eq!(new(arch, &one_uses, "xfs"), ["fresh"]);
            assert!(new(arch, &one_uses, "ext4").is_empty());
            // xfs has its own.
            let not_new = [two[0], ("xfs", "c.c", USES, USES)];
            assert!(new(arch, &not_new, "xfs").is_empty());

            let both = [
                one_uses[0],
                one_uses[1],
                one_uses[2],
                ("ext4", "d.c", "", USES),
            ];
            let message = refused(arch, &empty, &both);
            assert!(
                message.contains("adds fresh to ext4 and to xfs"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_defined_twice_is_an_error_of_the_fix() {
        let weak = format!("__attribute__((weak)) {DEFINES}");
        for arch in ARCHES {
            for other in [DEFINES, &weak] {
                let files = [
                    ("vmlinux", "a.c", "", other),
                    ("vmlinux", "b.c", "", DEFINES),
                ];
                let message = refused(arch, &Knowledge::default(), &files);
                assert!(
                    message.contains("adds fresh both to a.c and to b.c"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn what_another_file_of_the_kernel_has_is_not_new() {
        let directory = tempfile::tempdir().unwrap();
        for (arch, machine) in [(Arch::X86_64, Machine::X86_64), (Arch::S390, Machine::S390)] {
            let path = directory.path().join("vmlinux");
            let others = Module::new(arch, "kernel").source("others.c", DEFINES);
            fs::write(&path, others.build_kernel()).unwrap();
            let mut knowledge = Knowledge::default();
            knowledge.add_kernel(&path, machine).unwrap();
            let files = [("vmlinux", "a.c", "", DEFINES)];
            let message = refused(arch, &knowledge, &files);
            assert!(
                message.contains("a.c has a new fresh, and vmlinux has one in another file"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_moves_is_refused_and_what_was_static_is_the_kernels() {
        for arch in ARCHES {
            let files = [
                ("vmlinux", "a.c", DEFINES, ""),
                ("vmlinux", "b.c", "", DEFINES),
            ];
            let message = refused(arch, &Knowledge::default(), &files);
            assert!(message.contains("moves fresh"), "{message}");

            let opened = STATIC.replace("static ", "");
            let files = [
                ("vmlinux", "a.c", STATIC, &opened[..]),
                ("vmlinux", "b.c", "", USES),
            ];
            let shared = shared(arch, &Knowledge::default(), &files).unwrap();
            let names = shared.in_object("vmlinux");
            assert!(names.new.is_empty(), "{names:?}");
            assert!(names.opened.contains("fresh"), "{names:?}");
        }
    }
    #[test]
    fn a_variable_that_moves_is_refused_also_a_static_one() {
        let own = "static int state; int KLP(int x) { return state += x; }";
        let user = "extern int state; int KLP(int x) { return state += x; }";
        let public = "int state; int KLP(int x) { return state += x; }";
        let (one, other) = ("int KLP(int x) { return x; }", "");
        for arch in ARCHES {
            for (before, after, there) in [
                (own, user, public),
                (own, one, own),
                (public, one, own),
                (public, user, public),
            ] {
                let [before, after] = [before, after].map(|text| text.replace("KLP", "one"));
                let there = there.replace("KLP", "two");
                let files = [
                    ("vmlinux", "a.c", &before[..], &after[..]),
                    ("vmlinux", "b.c", other, &there),
                ];
                let message = refused(arch, &Knowledge::default(), &files);
                assert!(
                    message.contains("moves the variable state from a.c to b.c"),
                    "{message}"
                );
            }
            let placed = |section: &str| {
                let place = format!("static __attribute__((section(\"{section}\"))) int state");
                own.replace("static int state", &place)
            };
            let constant = own.replace("static int state", "static const volatile int state");
            let constant = constant.replace("+=", "+");
            let addresses = placed(".data.rel.ro.local.state");
            let at_first = placed(".init.data");
            // One of them has it still, or it is in another program, or has no value of its own.
            for (object, before, after, there) in [
                ("vmlinux", own, own, own),
                ("ext4", own, one, own),
                ("vmlinux", &constant, one, &constant),
                ("vmlinux", &addresses, one, &addresses),
                ("vmlinux", &at_first, one, &at_first),
            ] {
                let [before, after] = [before, after].map(|text| text.replace("KLP", "one"));
                let there = there.replace("KLP", "two");
                let files = [
                    (object, "a.c", &before[..], &after[..]),
                    ("vmlinux", "b.c", other, &there),
                ];
                assert!(new(arch, &files, "vmlinux").is_empty());
            }
        }
    }
}
