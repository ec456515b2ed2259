// SPDX-License-Identifier: GPL-2.0

//! What is new in one file of a fix, and used in another one.

use anyhow::{bail, Context, Result};
use object::{Object as _, ObjectSymbol as _};
use std::collections::BTreeSet;

/// The global symbols of an object: what it defines, and what it only uses.
fn symbols(object: &[u8]) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let file = object::File::parse(object).context("the compiler made no usable object")?;
    let (mut defined, mut used) = (BTreeSet::new(), BTreeSet::new());
    for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
        let to = match symbol.is_undefined() {
            true => &mut used,
            false => &mut defined,
        };
        to.insert(symbol.name()?.to_owned());
    }
    Ok((defined, used))
}

/// The symbols that one of the files defines only with the fix, and another one uses. Each file is
/// given by its objects before and after.
///
/// # Errors
///
/// One of them is no object, or one of them has what another one had before.
pub fn shared<'a>(files: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<BTreeSet<String>> {
    let (mut new, mut used, mut gone) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (before, after) in files {
        let (had, _) = symbols(before)?;
        let (has, uses) = symbols(after)?;
        new.extend(has.difference(&had).cloned());
        gone.extend(had.difference(&has).cloned());
        used.extend(uses);
    }
    // Those who call it from other files would stay with the old one.
    if let Some(moved) = new.intersection(&gone).next() {
        bail!(
            "the fix moves {moved} from one file to another one, where it is not the kernel's any \
             more: leave it in its file"
        );
    }
    Ok(new.intersection(&used).cloned().collect())
}
