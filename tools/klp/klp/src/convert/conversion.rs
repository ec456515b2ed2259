// SPDX-License-Identifier: GPL-2.0

//! From the bytes of a module to those of a livepatch module.
//!
//! Symbols that the kernel does not export become livepatch symbols, and the relocations that use
//! them move into livepatch relocation sections. The format is described in
//! `Documentation/livepatch/module-elf-format.md`.

use super::{modinfo, rewrite, verify, versions};
use crate::description;
use crate::file::elf::{is_signed, ElfFile, Place};
use crate::file::module::Module;
use crate::knowledge::Knowledge;
use crate::reference::{Reference, Stated};
use crate::resolve::Problem;
use anyhow::{anyhow, bail, ensure, Result};
use livepatch_format::elf::{SymbolIndex, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH};
use livepatch_format::name::{Dialect, Text};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// The symbols of a file that become livepatch symbols, and for what they stand.
pub type Resolved = BTreeMap<SymbolIndex, Reference>;

/// A converted module.
#[derive(Debug)]
pub struct Conversion {
    /// The livepatch module.
    pub bytes: Vec<u8>,
    /// Its livepatch symbols.
    pub resolved: Resolved,
    /// Those of them whose object and position the author does not state.
    pub implied: Vec<Reference>,
    /// How many relocations use them.
    pub moved: usize,
    dialect: Dialect,
}

impl Conversion {
    /// Converts a module; `None` where nothing has to be done.
    pub fn new(input: &[u8], knowledge: &Knowledge, dialect: Dialect) -> Result<Option<Self>> {
        let mut file = ElfFile::parse(input)?;
        refuse_unsuitable(input, &file)?;
        let resolved = resolve(&file, input, knowledge)?;
        let is_implied = |index: &SymbolIndex| {
            let symbol = file.symbols.get(index.0 as usize);
            symbol.is_some_and(|symbol| Stated::parse(&symbol.name).is_none())
        };
        let implied = resolved.iter().filter(|(index, _)| is_implied(index));
        let implied = implied.map(|(_, reference)| reference.clone()).collect();
        let is_livepatch = !resolved.is_empty() || calls(&file, b"klp_enable_patch");
        if resolved.is_empty() && (modinfo::is_livepatch(&file) || !is_livepatch) {
            return Ok(None);
        }
        modinfo::mark(&mut file)?;
        versions::forget(&mut file, &resolved)?;
        modinfo::forget_dependencies(&mut file, &resolved, knowledge);
        let moved = rewrite::rewrite(&mut file, &resolved, dialect).map_err(|all| list(&all))?;
        let bytes = file.write()?;
        Ok(Some(Conversion {
            bytes,
            resolved,
            implied,
            moved,
            dialect,
        }))
    }

    /// Checks that `written` is what `input` has to become.
    pub fn verify(&self, input: &[u8], written: &[u8]) -> Result<()> {
        verify::verify(input, written, &self.resolved, self.dialect)
    }
}

fn refuse_unsuitable(input: &[u8], file: &ElfFile) -> Result<()> {
    ensure!(
        !is_signed(input),
        "the module is signed: convert it first and sign the result"
    );
    let has_symbols = file
        .symbols
        .iter()
        .any(|symbol| symbol.place == Place::Reserved(SHN_LIVEPATCH));
    let has_relocations = file
        .sections
        .iter()
        .any(|section| section.flags.0 & SHF_RELA_LIVEPATCH != 0);
    if has_symbols || has_relocations {
        bail!("the module has livepatch symbols already: convert the module that kbuild made");
    }
    Ok(())
}

/// Decides for every undefined symbol; reports all that cannot be resolved.
fn resolve(file: &ElfFile, input: &[u8], knowledge: &Knowledge) -> Result<Resolved> {
    let mut resolved = Resolved::new();
    let mut problems = Vec::new();
    for (index, symbol) in file.symbols().skip(1) {
        if symbol.place != Place::Undefined || symbol.name.is_empty() {
            continue;
        }
        match knowledge.resolve(&symbol.name, symbol.is_weak()) {
            Ok(Some(reference)) => {
                resolved.insert(index, reference);
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        return Ok(resolved);
    }
    let error = list(&problems);
    let is_missing = |problem: &Problem| matches!(problem, Problem::NotFound { .. });
    let targets = unknown_targets(input, knowledge);
    if targets.is_empty() || !problems.iter().any(is_missing) {
        return Err(error);
    }
    bail!(
        "{error}\n  the patch is also for {}, whose symbols were not given: name the file of each \
         module in KLP_TARGETS of the Makefile, or give it to klp convert with --module",
        targets.join(", ")
    );
}

/// The modules that are patched, and whose symbols are not known.
fn unknown_targets(input: &[u8], knowledge: &Knowledge) -> Vec<String> {
    let Ok(module) = Module::parse(input) else {
        return Vec::new();
    };
    let patches = description::patches(&module).unwrap_or_default();
    let objects = patches
        .iter()
        .filter_map(|patch| patch.objects.as_ref().ok()?.as_ref())
        .flatten();
    let unknown = objects
        .filter_map(|object| object.name.as_deref())
        .filter(|name| knowledge.get(name).is_none())
        .map(|name| format!("'{}'", Text(name)));
    unknown.collect::<BTreeSet<_>>().into_iter().collect()
}

/// One error of many.
fn list(problems: &[impl Display]) -> anyhow::Error {
    let items: String = problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect();
    match problems {
        [_] => anyhow!("cannot be converted:{items}"),
        _ => anyhow!(
            "cannot be converted, for {} reasons:{items}",
            problems.len()
        ),
    }
}

fn calls(file: &ElfFile, name: &[u8]) -> bool {
    file.symbols
        .iter()
        .any(|symbol| symbol.place == Place::Undefined && symbol.name == name)
}
