// SPDX-License-Identifier: GPL-2.0

//! Names that the author may have meant.

use crate::clones;
use crate::symbols::ObjectSymbols;
use std::collections::BTreeSet;

const SHOWN: usize = 5;

/// Symbols that no author means: those that tools put beside others.
const GENERATED: [&str; 3] = ["__ksymtab_", "__pfx_", "__cfi_"];

/// Names that are nearly the same, in words; `None` where there are none.
pub fn shown(names: &[String]) -> Option<String> {
    let names: Vec<_> = names.iter().map(|name| clones::proposed(name)).collect();
    (!names.is_empty()).then(|| format!("similar names: {}", names.join(", ")))
}

/// The names in `objects` that come next to `name`: first what a compiler made of it, then those
/// that differ in a few letters.
pub fn similar<'a>(name: &[u8], objects: impl Iterator<Item = &'a ObjectSymbols>) -> Vec<String> {
    let wanted = String::from_utf8_lossy(name);
    let most = (wanted.len() / 4).clamp(1, 4);
    let mut found = BTreeSet::new();
    for candidate in objects.flat_map(ObjectSymbols::names) {
        let candidate = String::from_utf8_lossy(candidate);
        if GENERATED.iter().any(|prefix| candidate.starts_with(prefix)) {
            continue;
        }
        let is_clone = candidate
            .strip_prefix(&*wanted)
            .is_some_and(|rest| rest.starts_with('.'));
        let distance = if is_clone {
            0
        } else if candidate.len().abs_diff(wanted.len()) > most {
            continue;
        } else {
            strsim::osa_distance(&wanted, &candidate)
        };
        if distance <= most {
            found.insert((distance, candidate.into_owned()));
        }
    }
    found
        .into_iter()
        .take(SHOWN)
        .map(|(_, name)| name)
        .collect()
}
