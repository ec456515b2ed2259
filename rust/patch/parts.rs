// SPDX-License-Identifier: GPL-2.0

//! What the compiler has split off from functions: parts that are symbols of their own, and that a
//! function may jump to and run in without an address of its own on the stack.

use super::model::Body;
use crate::format::name::SYMBOL_NAME_MAX;
use crate::sys::{kallsyms, Address};
use core::ops::{ControlFlow, Range};
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::Arc;

/// How the names of parts go on behind the name of the function, where they are looked up one by
/// one.
const SUFFIXES: [&str; 5] = [
    ".cold",
    ".part.0",
    ".part.0.cold",
    ".part.1",
    ".part.1.cold",
];

/// The parts of a function; `None` if it has none.
pub(crate) type Parts = Option<Arc<KVec<Range<Address>>>>;

/// The parts of the kernel's function `name`, of all functions of that name.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn of_vmlinux(name: &CStr) -> Result<Parts> {
    let mut found = Found::new();
    for suffix in SUFFIXES {
        if name.to_bytes().len() + suffix.len() > SYMBOL_NAME_MAX {
            continue;
        }
        let text = name.to_str().map_err(|_| EINVAL)?;
        let part = CString::try_from_fmt(fmt!("{}{}", text, suffix))?;
        kallsyms::each_in_vmlinux(&part, |address| found.saw(address));
    }
    found.into_parts()
}

/// Pieces of code that were found.
struct Found {
    pieces: KVec<Range<Address>>,
    result: Result,
}

impl Found {
    fn new() -> Found {
        Found {
            pieces: KVec::new(),
            result: Ok(()),
        }
    }

    fn saw(&mut self, start: Address) -> ControlFlow<()> {
        if let Some(size) = kallsyms::size(start) {
            let piece = start..start.offset(size);
            if let Err(error) = self.pieces.push(piece, GFP_KERNEL) {
                self.result = Err(error.into());
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn into_parts(self) -> Result<Parts> {
        self.result?;
        match self.pieces.is_empty() {
            true => Ok(None),
            false => Ok(Some(Arc::new(self.pieces, GFP_KERNEL)?)),
        }
    }
}

/// How names of parts go on behind the name of their function.
const MARKS: [&[u8]; 2] = [b".cold", b".part."];

/// Whether a symbol of this name is a part of some function.
fn is_part(name: &[u8]) -> bool {
    // Most have no dot at all, which is told soonest.
    if !name.contains(&b'.') {
        return false;
    }
    let from_dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    from_dots
        .filter_map(|(at, _)| name.get(at..))
        .any(|rest| MARKS.iter().any(|mark| rest.starts_with(mark)))
}

/// Whether the symbol `part` is a part of the function `name`.
fn is_part_of(part: &[u8], name: &[u8]) -> bool {
    let rest = part.strip_prefix(name);
    rest.is_some_and(|rest| MARKS.iter().any(|mark| rest.starts_with(mark)))
}

/// The parts of all functions of a module.
pub(crate) struct OfModule(KVec<(CString, Address)>);

impl OfModule {
    /// Those of the module `name`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn find(name: &CStr) -> Result<OfModule> {
        let mut parts = KVec::new();
        let mut result: Result = Ok(());
        kallsyms::each_in_module(name, |name, address| {
            if !is_part(name.to_bytes()) {
                return ControlFlow::Continue(());
            }
            result = remember(&mut parts, name, address);
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        result?;
        Ok(OfModule(parts))
    }

    /// Those of the function `name`, of all functions of that name.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn of(&self, name: &CStr) -> Result<Parts> {
        let mut found = Found::new();
        for (part, address) in self.0.iter() {
            if is_part_of(part.to_bytes(), name.to_bytes()) && found.saw(*address).is_break() {
                break;
            }
        }
        found.into_parts()
    }

    /// Adds to each of `bodies`, functions of the module `name`, its parts.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn add_to<'a>(
        &self,
        name: &CStr,
        bodies: impl Iterator<Item = &'a mut Body>,
    ) -> Result {
        if self.0.is_empty() {
            return Ok(());
        }
        for body in bodies {
            let mut parts = Ok(None);
            kallsyms::each_in_module(name, |name, address| {
                let has_any =
                    |(part, _): &(CString, Address)| is_part_of(part.to_bytes(), name.to_bytes());
                if address != body.address || !self.0.iter().any(has_any) {
                    return ControlFlow::Continue(());
                }
                parts = self.of(name);
                ControlFlow::Break(())
            });
            body.parts = parts?;
        }
        Ok(())
    }
}

fn remember(parts: &mut KVec<(CString, Address)>, name: &CStr, address: Address) -> Result {
    Ok(parts.push((CString::try_from(name)?, address), GFP_KERNEL)?)
}
