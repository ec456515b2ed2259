// SPDX-License-Identifier: GPL-2.0

//! Makes a relocatable object of what is taken, which kbuild links into a module.
//!
//! Every piece has a section of its own, named as in the patched object; entries of tables are put
//! together again. Whatever is not exported is referred to as `KLP_SYM()` of
//! `include/linux/klp_sym.h` does it, so that `klp convert` makes livepatch symbols of it.

mod layout;
mod objtool;
mod write;

use crate::callbacks::Handler;
use crate::decide::{Decisions, Fate};
use crate::error::Result;
use crate::kernel::Target;
use crate::take::Taken;
use crate::view::{PieceId, View};
use std::collections::{BTreeMap, BTreeSet};

/// The bytes of the object.
pub fn emit(
    patched: &View,
    taken: &Taken,
    new_functions: &BTreeMap<PieceId, String>,
) -> Result<Vec<u8>> {
    write::write(&layout::Layout::new(patched, taken, new_functions))
}

/// The global symbols of the functions that replace others and of callbacks, none of which another
/// unit of the same patch has.
pub fn new_functions(
    patched: &View,
    decisions: &Decisions,
    target: &Target,
) -> BTreeMap<PieceId, String> {
    let unit = identifier(&target.unit);
    let mut used = BTreeSet::new();
    let mut names = BTreeMap::new();
    for id in decisions.changed() {
        if let Fate::Changed { old_name, .. } = decisions.fate(id) {
            let plain = format!("klp_new_{unit}_{}", identifier(old_name));
            names.insert(id, unused(plain, &mut used));
        }
    }
    for callback in &decisions.callbacks {
        // The same function may be called several times, or replace another one.
        if let Handler::Here(id) = callback.handler {
            names.entry(id).or_insert_with(|| {
                let name = identifier(&patched.display(id));
                unused(format!("klp_callback_{unit}_{name}"), &mut used)
            });
        }
    }
    names
}

fn unused(plain: String, used: &mut BTreeSet<String>) -> String {
    let mut name = plain.clone();
    let mut number = 1;
    while !used.insert(name.clone()) {
        number += 1;
        name = format!("{plain}_{number}");
    }
    name
}

/// A part of a C identifier. What cannot stand in one is written as its number, so that different
/// texts stay different.
fn identifier(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte.into()),
            b'_' => out.push('_'),
            byte => out.push_str(&format!("_x{byte:02x}_")),
        }
    }
    out
}
