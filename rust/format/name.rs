// SPDX-License-Identifier: GPL-2.0

//! The names of livepatch symbols and of livepatch relocation sections, in both dialects.
//!
//! | | mainline | draft of 2016 |
//! | --- | --- | --- |
//! | section | `.klp.rela.<object>.<section>` | `.klp.rel.<object>.<section>` |
//! | symbol | `.klp.sym.<object>.<symbol>,<sympos>` | `.klp.sym.<object>.<symbol>` |
//! | sympos | decimal, after the comma | `st_other >> 2` |

use super::elf::Symbol;
use super::error::{Error, NameFault, Result};
use core::fmt;

/// What every livepatch symbol's name starts with.
pub const SYMBOL_PREFIX: &[u8] = b".klp.sym.";
/// What a livepatch relocation section's name starts with.
pub const SECTION_PREFIX: &[u8] = b".klp.rela.";
/// The same, in the draft dialect.
pub const DRAFT_SECTION_PREFIX: &[u8] = b".klp.rel.";
/// The object name that stands for the kernel itself.
pub const VMLINUX: &[u8] = b"vmlinux";

/// The longest object name: `MODULE_NAME_LEN` of `include/linux/module.h` less the NUL.
pub const OBJECT_NAME_MAX: usize = 55;
/// The longest symbol name: `KSYM_NAME_LEN` of `include/linux/kallsyms.h` less the NUL.
pub const SYMBOL_NAME_MAX: usize = 511;

/// How a file writes its livepatch names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As in Linux since 4.7.
    Mainline,
    /// As in the drafts of 2016.
    Draft,
}

/// Which of the symbols of one name in one object is meant.
///
/// 0: the name stands there once. n > 0: the n-th in the order of kallsyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SymPos(pub u64);

/// The name of a patched object: a module, or `vmlinux`. Neither empty nor too long, and without
/// the characters that end it within other names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName<'a>(&'a [u8]);

impl<'a> ObjectName<'a> {
    /// The kernel itself.
    pub const VMLINUX: ObjectName<'static> = ObjectName(VMLINUX);

    /// Checks an object name.
    pub fn new(name: &'a [u8]) -> core::result::Result<Self, NameFault> {
        if name.is_empty() {
            Err(NameFault::EmptyObject)
        } else if name.len() > OBJECT_NAME_MAX {
            Err(NameFault::ObjectTooLong)
        } else if !name
            .iter()
            .all(|&byte| byte.is_ascii_graphic() && !b"./,".contains(&byte))
        {
            Err(NameFault::ObjectCharacter)
        } else {
            Ok(ObjectName(name))
        }
    }

    /// Whether it is the kernel itself.
    pub fn is_vmlinux(&self) -> bool {
        self.0 == VMLINUX
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The name as text; it is printable ASCII.
    pub fn as_str(&self) -> &'a str {
        core::str::from_utf8(self.0).unwrap_or("?")
    }
}

impl fmt::Display for ObjectName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ObjectName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// The name of a patched object, kept longer than what it was read from.
///
/// # Invariants
///
/// The first `length` bytes are what [`ObjectName::new`] lets pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OwnedObjectName {
    bytes: [u8; OBJECT_NAME_MAX],
    length: usize,
}

impl OwnedObjectName {
    /// The name.
    pub fn get(&self) -> ObjectName<'_> {
        ObjectName(self.bytes.get(..self.length).unwrap_or(&self.bytes))
    }
}

impl From<ObjectName<'_>> for OwnedObjectName {
    fn from(ObjectName(name): ObjectName<'_>) -> Self {
        let mut bytes = [0; OBJECT_NAME_MAX];
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        OwnedObjectName {
            bytes,
            length: name.len(),
        }
    }
}

/// A name as it stands in a file, made printable.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hostile name must not fill the log.
        let shown = self.0.get(..SYMBOL_NAME_MAX).unwrap_or(self.0);
        write!(f, "{}", shown.escape_ascii())
    }
}

/// Cuts `rest` at its first `separator`.
fn cut(rest: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = rest.iter().position(|&byte| byte == separator)?;
    Some((rest.get(..at)?, rest.get(at.checked_add(1)?..)?))
}

/// The parsed name of a livepatch relocation section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionName<'a> {
    /// In which dialect it is written.
    pub dialect: Dialect,
    /// Whose load lets the relocations be applied.
    pub object: ObjectName<'a>,
    /// The section that is relocated; its leading dot ends the object name.
    pub target: &'a [u8],
}

impl<'a> SectionName<'a> {
    /// Parses `.klp.rela.<object>.<section>` or `.klp.rel.<object>.<section>`.
    ///
    /// # Errors
    ///
    /// [`Error::SectionName`]
    pub fn parse(name: &'a [u8]) -> Result<Self> {
        let (dialect, rest) = if let Some(rest) = name.strip_prefix(SECTION_PREFIX) {
            (Dialect::Mainline, rest)
        } else if let Some(rest) = name.strip_prefix(DRAFT_SECTION_PREFIX) {
            (Dialect::Draft, rest)
        } else {
            return Err(Error::SectionName(NameFault::Prefix));
        };
        let (object, target) = cut(rest, b'.').ok_or(Error::SectionName(NameFault::MissingPart))?;
        let object = ObjectName::new(object).map_err(Error::SectionName)?;
        if target.is_empty() {
            return Err(Error::SectionName(NameFault::MissingPart));
        }
        Ok(SectionName {
            dialect,
            object,
            target,
        })
    }
}

/// The parsed name of a livepatch symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolName<'a> {
    /// In which dialect it is written.
    pub dialect: Dialect,
    /// Where the symbol is to be found.
    pub object: ObjectName<'a>,
    /// What it is called there.
    pub symbol: &'a [u8],
    /// Which one of that name.
    pub position: SymPos,
}

impl<'a> SymbolName<'a> {
    /// Parses the name of `symbol`. A name with a position after a comma is mainline's; one
    /// without takes its position from `st_other`, as the draft has it.
    ///
    /// # Errors
    ///
    /// [`Error::SymbolName`]
    pub fn parse(name: &'a [u8], symbol: &Symbol) -> Result<Self> {
        let fault = |fault| Error::SymbolName(fault);
        let rest = name
            .strip_prefix(SYMBOL_PREFIX)
            .ok_or(fault(NameFault::Prefix))?;
        let (object, rest) = cut(rest, b'.').ok_or(fault(NameFault::MissingPart))?;
        let object = ObjectName::new(object).map_err(fault)?;
        let (dialect, symbol, position) = match cut(rest, b',') {
            Some((symbol, digits)) => (
                Dialect::Mainline,
                symbol,
                decimal(digits).ok_or(fault(NameFault::Position))?,
            ),
            None => (Dialect::Draft, rest, u64::from(symbol.st_other >> 2)),
        };
        if symbol.is_empty() {
            return Err(fault(NameFault::EmptySymbol));
        }
        if symbol.len() > SYMBOL_NAME_MAX {
            return Err(fault(NameFault::SymbolTooLong));
        }
        Ok(SymbolName {
            dialect,
            object,
            symbol,
            position: SymPos(position),
        })
    }
}

/// A decimal number of nothing but digits.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
