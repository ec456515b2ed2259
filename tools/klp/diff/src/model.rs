// SPDX-License-Identifier: GPL-2.0

//! What comes out of a comparison: what is patched, what goes along with it, and why.

pub use crate::refusal::{Reason, Refusal};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a fix makes of one file of the kernel or of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The object that is patched: `vmlinux` or the name of a module.
    pub object: String,
    /// The source file, as the object names it.
    pub source: Option<String>,
    /// Whether both objects have debug information, so that layouts of structures, numbers of
    /// enumerations and interfaces of exported functions were compared.
    #[serde(default)]
    pub are_types_known: bool,
    /// All functions of the patched object, by name.
    pub functions: Vec<Function>,
    /// What is to be called before and after the object is patched and unpatched.
    #[serde(default)]
    pub callbacks: Vec<Callback>,
    /// Data that is taken along and has a name, by name.
    pub data: Vec<Data>,
    /// Tables of which entries are taken along, by name.
    pub entries: Vec<Entries>,
    /// What the new code uses of the kernel and of modules, by name.
    pub references: Vec<Reference>,
    /// What is left out although it belongs to what is taken, and what that means.
    pub left_out: Vec<LeftOut>,
    /// Why no livepatch can be made; empty if one can.
    pub refusals: Vec<Refusal>,
}

impl Patch {
    /// The functions that are replaced.
    pub fn changed(&self) -> impl Iterator<Item = &Function> {
        let functions = self.functions.iter();
        functions.filter(|function| matches!(function.decision, Decision::Changed { .. }))
    }

    /// Whether there is nothing to patch, nothing to call, and nothing that another unit needs.
    pub fn is_empty(&self) -> bool {
        let is_new = Decision::New { is_needed: true };
        let mut functions = self.functions.iter();
        self.changed().next().is_none()
            && self.callbacks.is_empty()
            && !functions.any(|function| function.decision == is_new)
            && self.data.is_empty()
    }
}

/// A function of the patched object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name, as the compiler has it.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub decision: Decision,
}

/// What becomes of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// It is as it was.
    Unchanged,
    /// It is not in the kernel, and becomes a part of the patch if something there needs it.
    New {
        /// Whether it is a part of the patch.
        is_needed: bool,
    },
    /// It is replaced.
    Changed {
        /// The first difference that was found.
        because: Difference,
        /// The name of the function that it replaces.
        old_name: String,
        /// Which one of that name in the object: 0 where there is only one, else counted from 1.
        position: u64,
        /// The global symbol of the new function in the emitted object.
        symbol: String,
    },
    /// It differs, ftrace cannot reach it, and only functions of this file call it: the patch has
    /// its own, and these callers are replaced.
    WithCallers {
        /// The first difference that was found.
        because: Difference,
    },
    /// It differs, but is used only when the kernel starts or a module is loaded or removed, or
    /// another function takes its place: see [`Patch::left_out`].
    LeftOut {
        /// The first difference that was found.
        because: Difference,
    },
    /// It differs, and cannot be replaced: see [`Patch::refusals`].
    Refused {
        /// The first difference that was found.
        because: Difference,
    },
}

/// A function that is called when an object is patched or unpatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// When it is called.
    pub kind: CallbackKind,
    /// Its name, as the compiler has it.
    pub function: String,
    /// Its global symbol in the emitted object, or in that of another unit.
    pub symbol: String,
}

/// When a callback is called: `struct klp_callbacks` of `<linux/livepatch.h>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackKind {
    /// Before the functions are redirected.
    PrePatch,
    /// When all tasks run the new functions.
    PostPatch,
    /// Before the functions are what they were.
    PreUnpatch,
    /// When no task runs the new functions any more.
    PostUnpatch,
}

impl CallbackKind {
    /// All of them, in the order of `struct klp_callbacks`.
    pub const ALL: [CallbackKind; 4] = [
        CallbackKind::PrePatch,
        CallbackKind::PostPatch,
        CallbackKind::PreUnpatch,
        CallbackKind::PostUnpatch,
    ];

    /// Its field of `struct klp_callbacks`.
    pub fn field(self) -> &'static str {
        match self {
            CallbackKind::PrePatch => "pre_patch",
            CallbackKind::PostPatch => "post_patch",
            CallbackKind::PreUnpatch => "pre_unpatch",
            CallbackKind::PostUnpatch => "post_unpatch",
        }
    }
}

impl fmt::Display for CallbackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

/// How two pieces differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// They have not the same size.
    Size {
        /// Which piece.
        of: String,
        /// In bytes.
        before: u64,
        /// In bytes.
        after: u64,
    },
    /// A byte differs.
    Bytes {
        /// Which piece.
        of: String,
        /// Where, in bytes from its start.
        offset: u64,
    },
    /// It refers to something else.
    Link {
        /// Which piece.
        of: String,
        /// Where, in bytes from its start.
        offset: u64,
        /// To what it refers in the original.
        before: Option<String>,
        /// To what it refers now.
        after: Option<String>,
    },
    /// A table has more or fewer entries about it.
    Entries {
        /// Which piece.
        of: String,
        /// The section of the table.
        table: String,
        /// How many there were.
        before: usize,
        /// How many there are.
        after: usize,
    },
    /// It is in a section for another purpose.
    Section {
        /// Which piece.
        of: String,
        /// The name of the section that it was in.
        before: String,
        /// The name of the section that it is in.
        after: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "nothing".into());
        match self {
            Difference::Size { of, before, after } => {
                write!(f, "{of} has {after} bytes in place of {before}")
            }
            Difference::Bytes { of, offset } => write!(f, "{of} differs at {offset:#x}"),
            Difference::Link {
                of,
                offset,
                before,
                after,
            } => {
                let (before, after) = (name(before), name(after));
                match before == after {
                    true => write!(f, "{of} refers to {after}, which differs, at {offset:#x}"),
                    false => write!(
                        f,
                        "{of} refers to {after} in place of {before} at {offset:#x}"
                    ),
                }
            }
            Difference::Entries {
                of,
                table,
                before,
                after,
            } => write!(
                f,
                "{of} has {after} entries in {table} in place of {before}"
            ),
            Difference::Section { of, before, after } => {
                write!(f, "{of} is in {after} in place of {before}")
            }
        }
    }
}

/// A variable or constant that becomes a part of the patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Its name, as the compiler has it.
    pub name: String,
    /// Why it is not the kernel's.
    pub why: WhyTaken,
}

/// Why the patch has data of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyTaken {
    /// The kernel does not have it.
    New,
    /// It is a constant, which the fix changes, and only changed functions use it.
    ChangedConstant,
    /// It belongs to one place in the code, and a copy is as good.
    Copied,
    /// The kernel has it, but no symbol for it; it is a constant.
    ConstantWithoutSymbol,
}

/// Entries of a table that go with the patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// The section of the table.
    pub table: String,
    /// How many.
    pub count: usize,
}

/// A symbol that is not the patch's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Where it is found.
    #[serde(flatten)]
    pub by: ReferBy,
}

/// How a symbol is found when the patch is loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum ReferBy {
    /// As an exported symbol, by name.
    Export,
    /// In another unit of the patch.
    Patch,
    /// As a livepatch symbol.
    Position {
        /// `vmlinux` or the name of a module.
        object: String,
        /// 0 where there is only one of that name, else counted from 1.
        position: u64,
    },
}

/// What is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it is.
    pub what: String,
    /// What that means.
    pub effect: String,
}
