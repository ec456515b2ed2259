// SPDX-License-Identifier: GPL-2.0

//! Pairs of objects, a kernel that is made up, and a look at what comes out.

#![allow(dead_code)] // no test uses all of it

use klp_diff::model::{Decision, Patch, ReferBy, Refusal};
use klp_diff::{diff, Diff, Kernel, Location, NotLocated, Target, Wanted};
use livepatch_fixtures::{Arch, Module};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};
use object::{RelocationFlags, RelocationTarget};
use std::collections::{BTreeMap, BTreeSet};

/// What the sources of the tests begin with, in one line, so that lines are those of the test.
const HEADER: &str = include_str!("kernel.h");

/// As much of `<linux/livepatch.h>` and `<linux/module.h>` as the description uses.
const HEADERS: &str = "#define THIS_MODULE 0\n#define __init\n#define __exit\n\
    #define MODULE_LICENSE(x)\n#define MODULE_DESCRIPTION(x)\n#define bool _Bool\n#define true 1\n\
    #define false 0\n#define module_init(f) int (*init)(void) = f;\n\
    #define module_exit(f) void (*quit)(void) = f;\n#undef MODULE_INFO\n#define MODULE_INFO(a, b)\n\
    struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; };\n\
    typedef int (*klp_pre_patch_t)(void *);\n\
    typedef void (*klp_post_patch_t)(void *), (*klp_pre_unpatch_t)(void *);\n\
    typedef void (*klp_post_unpatch_t)(void *);\n\
    struct klp_callbacks { klp_pre_patch_t pre_patch; klp_post_patch_t post_patch;\n\
    klp_pre_unpatch_t pre_unpatch; klp_post_unpatch_t post_unpatch; };\n\
    struct klp_object { const char *name; struct klp_func *funcs;\n\
    struct klp_callbacks callbacks; };\n\
    struct klp_patch { void *mod; struct klp_object *objs; bool replace; };\n\
    int klp_enable_patch(struct klp_patch *);\n";

/// A description, as a source that needs no kernel.
pub fn without_includes(description: &str) -> String {
    let lines = description
        .lines()
        .filter(|line| !line.starts_with("#include"));
    format!("{HEADERS}{}\n", lines.collect::<Vec<_>>().join("\n"))
}

/// A kernel in which every symbol stands once in `vmlinux`, but for what is said otherwise.
pub struct World {
    pub exported: BTreeSet<&'static str>,
    pub missing: BTreeSet<&'static str>,
    pub ambiguous: BTreeSet<&'static str>,
    pub positions: BTreeMap<&'static str, u64>,
    pub elsewhere: BTreeMap<&'static str, &'static str>,
    pub untraced: BTreeSet<&'static str>,
    pub traced: BTreeSet<&'static str>,
    pub shared: BTreeSet<&'static str>,
    /// Which symbols are weak, of those that it is known of.
    pub weak: BTreeMap<&'static str, bool>,
    pub object: &'static str,
    pub unit: &'static str,
}

impl World {
    pub fn new() -> Self {
        World {
            exported: BTreeSet::from(["exported", "__fentry__"]),
            missing: BTreeSet::new(),
            ambiguous: BTreeSet::new(),
            positions: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            untraced: BTreeSet::new(),
            traced: BTreeSet::new(),
            shared: BTreeSet::new(),
            weak: BTreeMap::new(),
            object: "vmlinux",
            unit: "fs/test.c",
        }
    }
}

impl Kernel for World {
    fn is_exported(&self, name: &str) -> bool {
        self.exported.contains(name)
    }

    fn locate(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated> {
        if self.missing.contains(wanted.name) {
            return Err(NotLocated::Missing);
        }
        if self.ambiguous.contains(wanted.name) {
            let candidates = "two of them".to_owned();
            return Err(NotLocated::Ambiguous { candidates });
        }
        let of_file = if wanted.is_of_file {
            self.object
        } else {
            "vmlinux"
        };
        let object = self.elsewhere.get(wanted.name).copied().unwrap_or(of_file);
        Ok(Location {
            object: object.to_owned(),
            position: self.positions.get(wanted.name).copied().unwrap_or(0),
        })
    }

    fn is_shared(&self, name: &str) -> bool {
        self.shared.contains(name)
    }

    fn is_weak(&self, name: &str, _: &Location) -> Option<bool> {
        self.weak.get(name).copied()
    }

    fn has_call_site(&self, name: &str, _: &Location) -> Option<bool> {
        let is_known = self.traced.contains(name) || self.untraced.contains(name);
        is_known.then(|| self.traced.contains(name))
    }
}

/// Compiles a source.
pub fn compile(arch: Arch, text: &str) -> Vec<u8> {
    compile_with(arch, &[], text)
}

/// Compiles a source with more flags.
pub fn compile_with(arch: Arch, flags: &[&str], text: &str) -> Vec<u8> {
    let mut module = Module::new(arch, "test").flag("-w");
    for flag in flags {
        module = module.flag(flag);
    }
    module
        .source("test.c", &format!("{HEADER}\n#line 1 \"test.c\"\n{text}"))
        .object()
}

/// What comes of two objects.
pub fn compare(before: &[u8], after: &[u8], world: &World) -> Outcome {
    let target = Target {
        object: world.object.to_owned(),
        unit: world.unit.to_owned(),
    };
    let Diff { patch, object } = diff(before, after, &target, world).unwrap();
    Outcome {
        patch,
        object: object.map(|bytes| Emitted { bytes }),
    }
}

/// What comes of two sources.
pub fn outcome(arch: Arch, before: &str, after: &str, world: &World) -> Outcome {
    compare(&compile(arch, before), &compile(arch, after), world)
}

/// The same, where the fix replaces `from` by `to` in `source`.
pub fn fix(arch: Arch, source: &str, from: &str, to: &str) -> Outcome {
    fix_in(arch, source, from, to, &World::new())
}

/// The same in a certain kernel.
pub fn fix_in(arch: Arch, source: &str, from: &str, to: &str, world: &World) -> Outcome {
    assert_eq!(source.matches(from).count(), 1, "{from:?} in the source");
    outcome(arch, source, &source.replace(from, to), world)
}

/// What came out.
pub struct Outcome {
    pub patch: Patch,
    pub object: Option<Emitted>,
}

impl Outcome {
    /// The names of the replaced functions, as the kernel has them.
    pub fn changed(&self) -> Vec<&str> {
        let decisions = self
            .patch
            .functions
            .iter()
            .map(|function| &function.decision);
        decisions
            .filter_map(|decision| match decision {
                Decision::Changed { old_name, .. } => Some(old_name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The names of new functions that are taken.
    pub fn new_functions(&self) -> Vec<&str> {
        let is_new = Decision::New { is_needed: true };
        let functions = self.patch.functions.iter();
        functions
            .filter(|function| function.decision == is_new)
            .map(|function| function.name.as_str())
            .collect()
    }

    /// The names of data that is taken.
    pub fn data(&self) -> Vec<String> {
        let data = self.patch.data.iter();
        data.map(|data| data.name.clone()).collect()
    }

    /// How many entries of a table are taken.
    pub fn entries(&self, table: &str) -> usize {
        let mut entries = self.patch.entries.iter();
        entries
            .find(|entries| entries.table == table)
            .map_or(0, |entries| entries.count)
    }

    /// The symbols of `vmlinux` and modules that are referred to by position.
    pub fn livepatch_symbols(&self) -> Vec<String> {
        let references = self.patch.references.iter();
        references
            .filter_map(|reference| match &reference.by {
                ReferBy::Position { object, position } => {
                    Some(format!("{object}.{},{position}", reference.name))
                }
                ReferBy::Export | ReferBy::Patch => None,
            })
            .collect()
    }

    /// Nothing was refused, and there is an object.
    #[track_caller]
    pub fn emitted(&self) -> &Emitted {
        let refusals: Vec<_> = self.patch.refusals.iter().map(Refusal::to_string).collect();
        assert!(refusals.is_empty(), "{refusals:#?}");
        self.object.as_ref().expect("something to patch")
    }

    /// Something was refused, for this reason; returns the whole sentence.
    #[track_caller]
    pub fn refused(&self, subject: &str, part: &str) -> String {
        assert!(self.object.is_none());
        let refusals: Vec<_> = self.patch.refusals.iter().map(Refusal::to_string).collect();
        let mut found = self.patch.refusals.iter();
        let found =
            found.find(|refusal| refusal.subject == subject && refusal.message.contains(part));
        found
            .unwrap_or_else(|| panic!("no refusal of {subject} with {part:?} in {refusals:#?}"))
            .to_string()
    }
}

/// The emitted object.
pub struct Emitted {
    pub bytes: Vec<u8>,
}

/// A relocation, by names: `(offset, symbol or section, addend)`.
pub type Link = (u64, String, i64);

impl Emitted {
    fn file(&self) -> ElfFile64<'_, Endianness> {
        ElfFile64::parse(self.bytes.as_slice()).unwrap()
    }

    pub fn sections(&self) -> Vec<String> {
        let file = self.file();
        let names = file
            .sections()
            .map(|section| section.name().unwrap().to_owned());
        names.collect()
    }

    /// The bytes of all sections of that name.
    pub fn data(&self, name: &str) -> Vec<u8> {
        let file = self.file();
        let sections = file.sections().filter(|section| section.name() == Ok(name));
        let data = sections.map(|section| section.data().unwrap().to_vec());
        data.collect::<Vec<_>>().concat()
    }

    /// The relocations of all sections of that name.
    pub fn links(&self, name: &str) -> Vec<Link> {
        let file = self.file();
        let mut links = Vec::new();
        for section in file.sections().filter(|section| section.name() == Ok(name)) {
            for (offset, relocation) in section.relocations() {
                let RelocationTarget::Symbol(index) = relocation.target() else {
                    panic!("a relocation without a symbol");
                };
                let RelocationFlags::Elf { .. } = relocation.flags() else {
                    panic!("no ELF relocation");
                };
                let symbol = file.symbol_by_index(index).unwrap();
                let mut name = symbol.name().unwrap().to_owned();
                if symbol.kind() == object::SymbolKind::Section || name.starts_with(".L") {
                    let section = symbol.section_index().unwrap();
                    name = file
                        .section_by_index(section)
                        .unwrap()
                        .name()
                        .unwrap()
                        .to_owned();
                }
                links.push((offset, name, relocation.addend()));
            }
        }
        links
    }

    /// What the sections of that name refer to.
    pub fn targets(&self, name: &str) -> Vec<String> {
        self.links(name)
            .into_iter()
            .map(|(_, name, _)| name)
            .collect()
    }

    pub fn undefined(&self) -> Vec<String> {
        let file = self.file();
        let undefined = file.symbols().filter(|symbol| symbol.is_undefined());
        undefined
            .map(|symbol| symbol.name().unwrap().to_owned())
            .collect()
    }

    pub fn defines(&self, name: &str) -> bool {
        let file = self.file();
        let mut symbols = file.symbols();
        symbols.any(|symbol| symbol.is_definition() && symbol.name() == Ok(name))
    }

    pub fn global(&self) -> Vec<String> {
        let file = self.file();
        let global = file
            .symbols()
            .filter(|symbol| symbol.is_global() && !symbol.is_undefined());
        global
            .map(|symbol| symbol.name().unwrap().to_owned())
            .collect()
    }
}
