// SPDX-License-Identifier: GPL-2.0

//! Symbols that are of another source file than the functions that are patched. A static variable
//! of the patched file may not be there any more, as the compiler made a constant of it; the only
//! one of that name is then that of somebody else.

use crate::description;
use crate::file::module::Module;
use crate::knowledge::Knowledge;
use crate::knowledge::Known;
use crate::lint::{Finding, Place};
use crate::reference::{is_same_file, Reference};
use crate::symbols::Candidate;
use livepatch_format::name::{ObjectName, VMLINUX};
use std::sync::Arc;

/// Warnings for those of `implied`, which the author does not state, that are static and of
/// another file than any function of the object that is patched.
pub(crate) fn check(bytes: &[u8], knowledge: &Knowledge, implied: &[Reference]) -> Vec<Finding> {
    let Ok(module) = Module::parse(bytes) else {
        return Vec::new();
    };
    let of_object = |known: &Known| {
        let object = &known.symbols.object;
        let mut symbols: Vec<(&Reference, Candidate)> = Vec::new();
        for reference in implied.iter().filter(|one| one.object == *object) {
            let found = known.symbols.get(&reference.symbol);
            let statics = found.iter().filter(|one| !one.global);
            symbols.extend(statics.map(|one| (reference, one.clone())));
        }
        let patched = patched(&module, known);
        if symbols.is_empty() || patched.is_empty() {
            return Vec::new();
        }
        // Where one of them is not known, it may be the one.
        let patched: Option<Vec<_>> = known.files_of(patched).into_iter().collect();
        let Some(mut patched) = patched else {
            return Vec::new();
        };
        patched.sort();
        patched.dedup();
        let files = known.files_of(symbols.iter().map(|(_, one)| one.clone()).collect());
        let symbols = symbols.iter().zip(files);
        symbols
            .filter_map(|((reference, _), file)| warning(reference, &file?, &patched))
            .collect()
    };
    knowledge.known().flat_map(of_object).collect()
}

fn warning(reference: &Reference, file: &str, patched: &[Arc<str>]) -> Option<Finding> {
    if patched.iter().any(|one| is_same_file(file, one)) {
        return None;
    }
    let (object, symbol) = (
        &reference.object,
        reference.symbol.escape_ascii().to_string(),
    );
    let patched: Vec<_> = patched.iter().map(|one| format!("'{one}'")).collect();
    let message = format!(
        "'{symbol}' is a static one of '{file}', and the functions that are patched are of {}",
        patched.join(", ")
    );
    let finding = Finding::warning(
        "symbol-of-another-file",
        message,
        Place::default().symbol(&reference.symbol),
    );
    Some(finding.help(format!(
        "where that one is meant, say so: KLP_SYM_FILE({object}, {symbol}, \"{file}\")"
    )))
}

/// The functions of an object that the module patches, as far as it tells.
fn patched(module: &Module<'_>, known: &Known) -> Vec<Candidate> {
    let object = known.symbols.object.as_str().as_bytes();
    let Ok(name) = ObjectName::new(object) else {
        return Vec::new();
    };
    let patches = description::patches(module).unwrap_or_default();
    let objects = patches
        .iter()
        .filter_map(|patch| patch.objects.as_ref().ok()?.as_ref());
    let mine = objects
        .flatten()
        .filter(|one| one.name.as_deref().unwrap_or(VMLINUX) == object);
    let functions = mine.filter_map(|one| one.functions.as_ref().ok()?.as_ref());
    functions
        .flatten()
        .filter_map(|one| {
            let found = known.find(name, one.name.as_deref()?, one.position);
            found.ok().cloned()
        })
        .collect()
}
