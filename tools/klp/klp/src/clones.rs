// SPDX-License-Identifier: GPL-2.0

//! Functions that the compiler made of others: it takes parameters away, splits what they point
//! to into several, makes constants of them (`-fipa-sra`, `-fipa-cp`), or cuts the function in two
//! (`-fpartial-inlining`). Their names tell it, as `shrink.isra.0` does.

use crate::debug_info::{self, DebugInfo};
use crate::file::module::Module;
use crate::knowledge::Known;
use crate::symbols::Candidate;
use object::elf;

/// What a compiler appends to the name of a function whose parameters it may have changed.
const CHANGED: [&str; 3] = [".constprop.", ".isra.", ".part."];

/// What it appends to the name of a part or a copy of a function.
const OF_FUNCTION: [&str; 4] = [".constprop.", ".isra.", ".part.", ".llvm."];

/// What of a name is that of the function in the source; `None` for one that is no clone, whose
/// parameters are those of the source.
pub fn original(name: &str) -> Option<&str> {
    let starts = CHANGED.iter().filter_map(|clone| name.find(clone));
    let start = starts.min().filter(|&start| start != 0)?;
    name.get(..start)
}

/// Whether `other` is a part or a copy of the function `name`.
pub fn is_of(other: &str, name: &str) -> bool {
    let rest = other.strip_prefix(name);
    rest.is_some_and(|rest| OF_FUNCTION.iter().any(|clone| rest.starts_with(clone)))
}

/// A name to be proposed, with what has to be known of it.
pub fn proposed(name: &str) -> String {
    match original(name) {
        Some(original) => {
            format!("{name} (a clone that the compiler made of {original}: {CAUTION})")
        }
        None => name.to_owned(),
    }
}

/// Why it is dangerous to patch a clone, or to call one.
pub const CAUTION: &str =
    "its parameters need not be those of the source, and the kernel crashes where they differ";

/// What debug information tells of a clone's parameters, in words; where it is replaced by
/// `new`, a function of `patch`, also how many that has.
pub fn parameters(
    known: &Known,
    clone: &Candidate,
    patch: &Module<'_>,
    new: Option<&[u8]>,
) -> String {
    let parameters = match known.parameters(clone) {
        Ok(Some(parameters)) => parameters,
        Ok(None) => {
            return "no debug information tells its parameters: look at its code, or patch the \
                    functions that call it"
                .into()
        }
        Err(error) => return format!("the debug information cannot be read: {error:#}"),
    };
    let names = |is_there: bool| {
        let some = parameters.iter().filter(|one| one.is_there == is_there);
        some.map(|one| format!("'{}'", one.name))
            .collect::<Vec<_>>()
    };
    let (there, gone) = (names(true), names(false));
    let there = match there.len() {
        0 => "none".into(),
        _ => there.join(", "),
    };
    let told = match gone.len() {
        0 => format!(
            "debug information: it has all parameters of the source ({there}), but they may be \
             passed in another way"
        ),
        _ => format!(
            "debug information: of the source's parameters it has {there}, and no {}",
            gone.join(", no ")
        ),
    };
    let count = parameters.len() - gone.len();
    match new.and_then(|new| count_parameters(patch, new)) {
        Some(new) if new != count => {
            format!("{told}\n    the new function has {new} parameters, and {count} are passed")
        }
        _ => told,
    }
}

/// How many parameters a function of a module has, where debug information tells it.
fn count_parameters(module: &Module<'_>, name: &[u8]) -> Option<usize> {
    let mut functions = module.symbols().iter().filter(|(_, symbol)| {
        let kind = elf::SymbolInfo(symbol.st_info).st_type();
        kind == elf::STT_FUNC && module.symbol_name(symbol) == name
    });
    let place = functions.find_map(|(_, symbol)| module.place(&symbol))?;
    let address = debug_info::address(place.section, place.offset);
    let parameters = DebugInfo::of_module(module)?.parameters(address).ok()??;
    Some(parameters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_told_by_their_names() {
        for (name, function) in [
            ("shrink.isra.0", Some("shrink")),
            ("shrink.constprop.0.isra.0", Some("shrink")),
            ("shrink.part.1.cold", Some("shrink")),
            ("shrink.cold", None),
            ("shrink.llvm.123", None),
            ("shrink", None),
            (".isra.0", None),
        ] {
            assert_eq!(original(name), function, "{name}");
        }
        assert!(is_of("shrink.llvm.1", "shrink") && is_of("shrink.isra.0", "shrink"));
        assert!(!is_of("shrink.cold", "shrink") && !is_of("shrinker.isra.0", "shrink"));
    }
}
