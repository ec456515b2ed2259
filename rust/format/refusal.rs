// SPDX-License-Identifier: GPL-2.0

//! Why a module is refused: in the lines that livepatch.ko logs, without their prefix, and with
//! the errno that `insmod` gets to see.
//!
//! What a tool foretells and what the kernel says cannot differ: both are made here.

use super::error::Error;
use super::name::{ObjectName, SymPos, Text};
use super::{check, patch};
use core::fmt;

/// The errno of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    /// `EINVAL`
    Invalid,
    /// `ENOEXEC`
    NoExec,
}

impl Errno {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Errno::Invalid => "EINVAL",
            Errno::NoExec => "ENOEXEC",
        }
    }

    /// Its number, which is the same on every architecture.
    pub fn number(self) -> u8 {
        match self {
            Errno::Invalid => 22,
            Errno::NoExec => 8,
        }
    }
}

/// Why a name was not found as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved<'a> {
    /// There is none of that name.
    NotFound { symbol: &'a [u8] },
    /// Position 0 is for a name that stands once.
    Ambiguous {
        symbol: &'a [u8],
        object: ObjectName<'a>,
    },
    /// Fewer have that name than the position says.
    Position {
        symbol: &'a [u8],
        object: ObjectName<'a>,
        position: SymPos,
    },
    /// It was found, but is init code or data.
    Freed {
        symbol: &'a [u8],
        object: ObjectName<'a>,
    },
}

/// A module, or a patch in it, that is refused. Names are as they stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// The kernel's own loader would not notice, and would not survive it, so that it is looked
    /// for before the loader begins.
    Unsafe {
        module: &'a [u8],
        section: &'a [u8],
        error: Error,
    },
    /// A livepatch relocation section, or one of its relocations.
    Section {
        module: &'a [u8],
        section: &'a [u8],
        fault: check::Fault<'a>,
    },
    /// A section that only looks like one for livepatch.
    Unflagged { module: &'a [u8], section: &'a [u8] },
    /// Livepatch relocations in a module that does not say that it is a livepatch.
    UnmarkedRelocations { module: &'a [u8] },
    /// A module that enables a patch and does not say that it is a livepatch.
    Unmarked { module: &'a [u8] },
    /// A patch whose description lacks its module.
    NoModule,
    /// A patch whose description is wrong.
    Incomplete {
        patch: &'a [u8],
        fault: patch::Fault<'a>,
    },
    /// A function to be patched that was not found.
    Function(Unresolved<'a>),
    /// Two names of a function that is to be patched.
    SameFunction { first: &'a [u8], second: &'a [u8] },
    /// A function that ftrace cannot reach.
    NoLocation { function: &'a [u8] },
}

impl Refusal<'_> {
    /// The errno.
    pub fn errno(&self) -> Errno {
        match self {
            Refusal::Unsafe { .. }
            | Refusal::Unflagged { .. }
            | Refusal::UnmarkedRelocations { .. } => Errno::NoExec,
            Refusal::Section { .. }
            | Refusal::Unmarked { .. }
            | Refusal::NoModule
            | Refusal::Incomplete { .. }
            | Refusal::Function(_)
            | Refusal::SameFunction { .. }
            | Refusal::NoLocation { .. } => Errno::Invalid,
        }
    }

    /// Calls `line` with every line of the log, without the end of the line.
    pub fn log(&self, mut line: impl FnMut(fmt::Arguments<'_>)) {
        match *self {
            Refusal::Unsafe {
                module,
                section,
                error,
            } => line(format_args!(
                "module '{}': section {}: {error}",
                Text(module),
                Text(section)
            )),
            Refusal::Section {
                module,
                section,
                fault,
            } => {
                fault.log(section, &mut line);
                let (module, section) = (Text(module), Text(section));
                match fault.error() {
                    Some(error) => {
                        line(format_args!(
                            "module '{module}': section {section}: {error}"
                        ));
                    }
                    None => line(format_args!(
                        "module '{module}': section {section}: relocations not applied (-{})",
                        self.errno().number()
                    )),
                }
            }
            Refusal::Unflagged { module, section } => line(format_args!(
                "module '{}': section {} is named like a livepatch relocation section, but its \
                 flags do not say that it is one",
                Text(module),
                Text(section)
            )),
            Refusal::UnmarkedRelocations { module } => line(format_args!(
                "module '{}' has livepatch relocations, but is not marked as a livepatch module",
                Text(module)
            )),
            Refusal::Unmarked { module } => line(format_args!(
                "module {} is not marked as a livepatch module",
                Text(module)
            )),
            Refusal::NoModule => line(format_args!("a patch without a module cannot be enabled")),
            Refusal::Incomplete { patch, fault } => line(format_args!(
                "patch '{}' is incomplete: {fault}",
                Text(patch)
            )),
            Refusal::Function(unresolved) => line(format_args!("{unresolved}")),
            Refusal::SameFunction { first, second } => line(format_args!(
                "'{}' and '{}' are the same function",
                Text(first),
                Text(second)
            )),
            Refusal::NoLocation { function } => line(format_args!(
                "failed to find location for function '{}'",
                Text(function)
            )),
        }
    }
}

impl fmt::Display for Unresolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Unresolved::NotFound { symbol } => {
                write!(f, "symbol '{}' not found in symbol table", Text(symbol))
            }
            Unresolved::Ambiguous { symbol, object } => write!(
                f,
                "unresolvable ambiguity for symbol '{}' in object '{object}'",
                Text(symbol)
            ),
            Unresolved::Position {
                symbol,
                object,
                position: SymPos(position),
            } => write!(
                f,
                "symbol position {position} for symbol '{}' in object '{object}' not found",
                Text(symbol)
            ),
            Unresolved::Freed { symbol, object } => write!(
                f,
                "symbol '{}' in object '{object}' is init code or data, which is freed: use what \
                 stays, or copy it into the patch",
                Text(symbol)
            ),
        }
    }
}
