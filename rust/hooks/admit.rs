// SPDX-License-Identifier: GPL-2.0

//! Letting livepatch modules past the kernel's refusal.
//!
//! The kernel looks for the key `livepatch` in a module's information and refuses the module
//! where it finds it. That happens after the signature check, and on the loader's private copy
//! of the file: renaming the key in this copy hides it from the kernel, and tells
//! [`finalize`](super::finalize) that it was there.

use crate::format::check;
use crate::format::elf::Image;
use crate::format::modinfo;
use crate::format::refusal::Refusal;
use crate::format::unchecked;
use crate::messages::refuse;
use crate::sys::module;
use kernel::prelude::*;

/// Renames the key, if there is one. A file that is not even an ELF file is left to the kernel,
/// which refuses it with a message of its own.
///
/// # Errors
///
/// `ENOEXEC` for a livepatch that would harm the kernel's own loader, which does not look at all
/// that it uses. It is logged.
pub(crate) fn admit(file: &mut [u8]) -> Result {
    let Ok(Some(range)) = modinfo::locate(file) else {
        return Ok(());
    };
    let Some(info) = file.get_mut(range.clone()) else {
        return Ok(());
    };
    // A file that has the other key already is taken for a livepatch by `finalize`, too.
    if !modinfo::admit(info) {
        return Ok(());
    }
    let Ok(image) = Image::parse(file) else {
        return Ok(());
    };
    let checked = check::symbol_uses(&image)
        .and_then(|()| unchecked::check(&image, Some(&module::FUNCTIONS)));
    checked.map_err(|(index, error)| {
        let info = file.get(range).unwrap_or_default();
        let section = image.sections.get(index);
        refuse(&Refusal::Unsafe {
            module: modinfo::value(info, b"name").unwrap_or(b"?"),
            section: section
                .and_then(|section| image.name(&section))
                .unwrap_or(b"?"),
            error,
        })
    })
}
