// SPDX-License-Identifier: GPL-2.0

//! Static variables that the compiler numbers, as several functions have one of the same name.
//!
//! They are found in the kernel by the names in the object that was compiled as the kernel was. The
//! objects that are compared were compiled with other flags: if the compiler numbered otherwise
//! there, one variable would be taken for another one.

use anyhow::{ensure, Context, Result};
use object::{Object as _, ObjectSymbol as _};
use std::collections::BTreeMap;

/// The numbered variables of an object, with their sizes.
fn numbered(object: &[u8]) -> Result<BTreeMap<String, u64>> {
    let file = object::File::parse(object).context("the compiler made no usable object")?;
    let mut found = BTreeMap::new();
    for symbol in file.symbols() {
        let name = symbol.name()?;
        let number = name.rsplit_once('.').map(|(_, number)| number);
        let is_number = number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if is_number && symbol.kind() == object::SymbolKind::Data {
            found.insert(name.to_owned(), symbol.size());
        }
    }
    Ok(found)
}

/// Checks that the numbered variables of `before` are those of `as_built`.
///
/// # Errors
///
/// They are not, or one of the two is no object.
pub fn check(as_built: &[u8], before: &[u8]) -> Result<()> {
    let known = numbered(as_built)?;
    for (name, size) in numbered(before)? {
        ensure!(
            known.get(&name) == Some(&size),
            "the static variable {name} has another number in the kernel: which one it is there \
             cannot be told"
        );
    }
    Ok(())
}
