// SPDX-License-Identifier: GPL-2.0

//! What is told of a module. This is also the JSON: `Documentation/livepatch/klp-json.md`.

use crate::description::{self, Function, Object, Patch};
use crate::file::module::Module;
use livepatch_format::elf::{Machine, SectionIndex};
use livepatch_format::name::{self, SectionName, SymbolName, Text};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Whether it says that it is a livepatch.
    pub livepatch: bool,
    /// Whose code it holds.
    pub machine: &'static str,
    /// Whether a signature is at its end.
    pub signed: bool,
    /// What it says of itself.
    pub modinfo: BTreeMap<String, Vec<String>>,
    /// How livepatch names are written: all dialects that occur.
    pub dialects: BTreeSet<&'static str>,
    /// Every object that a patch, a symbol or a section is about.
    pub objects: BTreeSet<String>,
    /// What is patched.
    pub patches: Vec<PatchReport>,
    /// Why the file does not tell what is patched.
    pub patches_unknown: Option<String>,
    /// Its livepatch symbols.
    pub symbols: Vec<SymbolReport>,
    /// Its livepatch relocation sections.
    pub sections: Vec<SectionReport>,
}

/// A `struct klp_patch`.
#[derive(Debug, Serialize)]
pub struct PatchReport {
    /// The variable.
    pub variable: Option<String>,
    /// Whether it replaces all earlier patches, where the file tells.
    pub replace: Option<bool>,
    /// What the module's code may change before it is used.
    pub changeable: Option<&'static str>,
    /// What is patched.
    pub objects: Vec<ObjectReport>,
    /// Why the file does not tell.
    pub objects_unknown: Option<String>,
}

/// A `struct klp_object`.
#[derive(Debug, Serialize)]
pub struct ObjectReport {
    /// `vmlinux` or a module.
    pub name: String,
    /// Which callbacks it has.
    pub callbacks: Vec<&'static str>,
    /// What is patched.
    pub functions: Vec<FunctionReport>,
    /// Why the file does not tell.
    pub functions_unknown: Option<String>,
}

/// A `struct klp_func`.
#[derive(Debug, Serialize)]
pub struct FunctionReport {
    /// The function that is replaced.
    pub name: Option<String>,
    /// Which one of that name.
    pub position: u64,
    /// What runs instead, where it has a name.
    pub new: Option<String>,
    /// The section of that.
    pub section: Option<String>,
}

/// A livepatch symbol.
#[derive(Debug, Serialize)]
pub struct SymbolReport {
    /// Its index in the symbol table.
    pub index: u32,
    /// As it stands in the file.
    pub raw: String,
    /// Where it is looked for.
    pub object: Option<String>,
    /// What it is called there.
    pub name: Option<String>,
    /// Which one of that name.
    pub position: Option<u64>,
    /// How its name is written.
    pub dialect: Option<&'static str>,
    /// What is wrong with its name.
    pub fault: Option<String>,
}

/// A livepatch relocation section.
#[derive(Debug, Serialize)]
pub struct SectionReport {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// When it is applied: with this object.
    pub object: Option<String>,
    /// How its name is written.
    pub dialect: Option<&'static str>,
    /// The section that it changes.
    pub target: String,
    /// How many relocations it has.
    pub relocations: u32,
    /// The same, by type.
    pub types: BTreeMap<String, u32>,
    /// What is wrong with it.
    pub fault: Option<String>,
}

fn text(name: &[u8]) -> String {
    Text(name).to_string()
}

fn dialect(dialect: name::Dialect) -> &'static str {
    match dialect {
        name::Dialect::Mainline => "mainline",
        name::Dialect::Draft => "draft",
    }
}

impl Report {
    /// Looks at a module.
    pub fn new(path: &Path, module: &Module<'_>) -> Self {
        let mut modinfo: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, value) in module.infos() {
            modinfo.entry(text(key)).or_default().push(text(value));
        }
        let symbols = symbols(module);
        let sections = sections(module);
        let (patches, patches_unknown) = match description::patches(module) {
            Ok(patches) => (patches.iter().map(PatchReport::new).collect(), None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let dialects = symbols.iter().filter_map(|symbol| symbol.dialect);
        let dialects = dialects.chain(sections.iter().filter_map(|section| section.dialect));
        let dialects = dialects.collect();
        let mut objects = BTreeSet::new();
        objects.extend(symbols.iter().filter_map(|symbol| symbol.object.clone()));
        objects.extend(sections.iter().filter_map(|section| section.object.clone()));
        let described = patches
            .iter()
            .flat_map(|patch: &PatchReport| &patch.objects);
        objects.extend(described.map(|object| object.name.clone()));
        Report {
            file: path.display().to_string(),
            livepatch: module.is_marked(),
            machine: match module.machine {
                Machine::X86_64 => "x86_64",
                Machine::S390 => "s390x",
            },
            signed: crate::file::elf::is_signed(module.file()),
            modinfo,
            dialects,
            objects,
            patches,
            patches_unknown,
            symbols,
            sections,
        }
    }

    /// Whether there is anything of livepatch in it.
    pub fn is_ordinary(&self) -> bool {
        let nothing = self.symbols.is_empty() && self.sections.is_empty();
        let nothing_patched = self.patches.is_empty() && self.patches_unknown.is_none();
        !self.livepatch && nothing && nothing_patched
    }
}

impl PatchReport {
    fn new(patch: &Patch) -> Self {
        let (objects, objects_unknown) = match &patch.objects {
            Ok(objects) => (objects.as_deref().unwrap_or_default(), None),
            Err(why) => (&[][..], Some(why.clone())),
        };
        PatchReport {
            variable: patch.symbol.as_deref().map(text),
            replace: patch.replace,
            changeable: patch.changeable,
            objects: objects.iter().map(ObjectReport::new).collect(),
            objects_unknown,
        }
    }
}

impl ObjectReport {
    fn new(object: &Object) -> Self {
        let (functions, functions_unknown) = match &object.functions {
            Ok(functions) => (functions.as_deref().unwrap_or_default(), None),
            Err(why) => (&[][..], Some(why.clone())),
        };
        ObjectReport {
            name: text(object.name.as_deref().unwrap_or(name::VMLINUX)),
            callbacks: object.callbacks.clone(),
            functions: functions.iter().map(FunctionReport::new).collect(),
            functions_unknown,
        }
    }
}

impl FunctionReport {
    fn new(function: &Function) -> Self {
        let new = function.new.as_ref();
        FunctionReport {
            name: function.name.as_deref().map(text),
            position: function.position.0,
            new: new.and_then(|new| new.symbol.as_deref()).map(text),
            section: new.and_then(|new| new.section.as_deref()).map(text),
        }
    }
}

fn symbols(module: &Module<'_>) -> Vec<SymbolReport> {
    let all = module.symbols().iter();
    all.filter(|(_, symbol)| symbol.is_livepatch())
        .map(|(index, symbol)| {
            let raw = module.symbol_name(&symbol);
            let parsed = SymbolName::parse(raw, &symbol);
            let fault = parsed.err().map(|error| error.to_string());
            let parsed = parsed.ok();
            SymbolReport {
                index: index.0,
                raw: text(raw),
                object: parsed.map(|name| name.object.to_string()),
                name: parsed.map(|name| text(name.symbol)),
                position: parsed.map(|name| name.position.0),
                dialect: parsed.map(|name| dialect(name.dialect)),
                fault,
            }
        })
        .collect()
}

fn sections(module: &Module<'_>) -> Vec<SectionReport> {
    let all = module.sections();
    all.filter(|(_, section, _)| section.is_livepatch_relocation())
        .map(|(index, section, raw)| {
            let parsed = SectionName::parse(raw);
            let table = module.relocations(&section);
            let mut types = BTreeMap::new();
            for (_, rela) in table.iter().flat_map(|table| table.iter()) {
                let name = module.relocation_name(rela.r_type);
                *types.entry(name).or_insert(0) += 1;
            }
            let fault = parsed.err().or(table.err());
            SectionReport {
                index: index.0,
                name: text(raw),
                object: parsed.ok().map(|name| name.object.to_string()),
                dialect: parsed.ok().map(|name| dialect(name.dialect)),
                target: text(module.section_name(SectionIndex(section.sh_info))),
                relocations: types.values().sum(),
                types,
                fault: fault.map(|error| error.to_string()),
            }
        })
        .collect()
}
