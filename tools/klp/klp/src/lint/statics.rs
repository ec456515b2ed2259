// SPDX-License-Identifier: GPL-2.0

//! Static variables of functions that came along when a function was copied into the patch: there
//! is a new one then, which begins anew, beside the one of the object.
//!
//! gcc numbers them, by no rule that an author could go by (`calls.1`); clang puts the name of the
//! function before theirs (`show.calls`).

use super::finding::{Finding, Place};
use super::functions::Replaced;
use super::Lint;
use crate::file::module::{is_alloc, Module};
use crate::knowledge::Known;
use crate::reference::is_same_file;
use crate::symbols::Candidate;
use livepatch_format::elf::Section;
use livepatch_format::name::{SymPos, Text};
use object::elf;
use std::sync::Arc;

/// `SHF_WRITE`
const SHF_WRITE: u64 = 1;

/// What the names of variables begin with that macros of the kernel define in functions: that
/// they begin anew does no harm.
const OF_MACROS: [&str; 2] = ["_", "descriptor."];

/// A variable of the object that one of the patch may be a copy of.
struct Original {
    /// The patch's own.
    own: String,
    /// Its name in the object.
    name: String,
    position: SymPos,
    candidate: Candidate,
}

/// Warns of variables of the patch for which the object has another one.
pub(super) fn check(lint: &mut Lint<'_>, known: &Known, object: &[u8], found: &[Replaced<'_, '_>]) {
    let own = own_variables(lint.module);
    let mut originals: Vec<_> = own
        .iter()
        .flat_map(|own| originals(known, own, found))
        .collect();
    if originals.is_empty() {
        return;
    }
    let functions = found.iter().map(|replaced| replaced.candidate.clone());
    let patched = known.files_of(functions.collect());
    let candidates = originals.iter().map(|one| one.candidate.clone());
    let with_files = known.with_files(candidates.collect());
    for (original, with_file) in originals.iter_mut().zip(with_files) {
        original.candidate = with_file;
    }
    // What is not known may be the same.
    let may_be_same = |one: &&Original| {
        let file = one.candidate.file.as_deref();
        let is_same = |patched: &Option<Arc<str>>| match (file, patched.as_deref()) {
            (Some(file), Some(patched)) => is_same_file(file, patched),
            _ => true,
        };
        patched.iter().any(is_same)
    };
    for name in own {
        let mut originals = originals.iter().filter(|one| one.own == name);
        if let Some(original) = originals.find(may_be_same) {
            lint.push(warning(object, original));
        }
    }
}

fn warning(object: &[u8], original: &Original) -> Finding {
    let (own, name) = (original.own.escape_debug(), original.name.escape_debug());
    let object = Text(object);
    let message = format!(
        "the patch has a variable '{own}' of its own, where object '{object}' has '{name}': it \
         begins anew, and changes of the one are none of the other"
    );
    let stated = match &original.candidate.file {
        Some(file) => format!("KLP_SYM_FILE({object}, {name}, \"{file}\")"),
        None => format!("KLP_SYM({object}, {name}, {})", original.position.0),
    };
    let place = Place::default().symbol(original.own.as_bytes());
    let finding = Finding::warning("static-copied", message, place);
    finding.help(format!(
        "to use that of the object, declare it outside of the function, with {stated}"
    ))
}

/// The variables of the patch that may be static ones of functions, and keep what code writes to
/// them.
fn own_variables(module: &Module<'_>) -> Vec<String> {
    let variables = module.symbols().iter().filter(|(_, symbol)| {
        let info = elf::SymbolInfo(symbol.st_info);
        let section = module.place(symbol).map(|place| place.section);
        let is_state = section.is_some_and(|section| {
            let header = module.image().sections.get(section);
            header.is_ok_and(|header| is_state(&header, module.section_name(section)))
        });
        info.st_type() == elf::STT_OBJECT && info.st_bind() == elf::STB_LOCAL && is_state
    });
    variables
        .map(|(_, symbol)| String::from_utf8_lossy(module.symbol_name(&symbol)).into_owned())
        .filter(|name| name.contains('.'))
        .filter(|name| !OF_MACROS.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

/// Whether what is in a section keeps what code writes to it, and does so for one variable alone.
fn is_state(section: &Section, name: &[u8]) -> bool {
    let is_kept = name.starts_with(b".data") || name.starts_with(b".bss");
    let once = name.windows(4).any(|part| part == b"once");
    is_alloc(section) && section.sh_flags & SHF_WRITE != 0 && is_kept && !once
}

/// The variables of the object that the patch's variable `own` may be a copy of, by their names.
fn originals(known: &Known, own: &str, found: &[Replaced<'_, '_>]) -> Vec<Original> {
    let of_functions = found.iter().filter_map(|replaced| {
        let new = std::str::from_utf8(replaced.new?).ok()?;
        let variable = own.strip_prefix(new)?.strip_prefix('.')?;
        let old = std::str::from_utf8(replaced.name).ok()?;
        Some(format!("{old}.{variable}"))
    });
    let of_functions: Vec<_> = of_functions.collect();
    let is_original = |other: &str| match numbered(own) {
        Some(stem) => numbered(other) == Some(stem),
        None => of_functions.iter().any(|name| name == other),
    };
    let names = known.symbols.names().filter_map(|name| {
        let text = std::str::from_utf8(name).ok()?;
        is_original(text).then_some((name, text))
    });
    let of_name = |(name, text): (&[u8], &str)| {
        let all = known.symbols.get(name);
        let original = |(position, candidate): (u64, &Candidate)| Original {
            own: own.to_owned(),
            name: text.to_owned(),
            position: SymPos(if all.len() == 1 { 0 } else { position }),
            candidate: candidate.clone(),
        };
        let variables = (1..).zip(all).filter(|(_, one)| !one.may_be_code());
        variables.map(original).collect::<Vec<_>>()
    };
    names.flat_map(of_name).collect()
}

/// The name of a static variable without the number that gcc gave it.
fn numbered(name: &str) -> Option<&str> {
    let (stem, number) = name.rsplit_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !stem.is_empty()).then_some(stem)
}
