// SPDX-License-Identifier: GPL-2.0

//! What comes out of a comparison: what is patched, what goes along with it, and why.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a fix makes of one file of the kernel or of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The object that is patched: `vmlinux` or the name of a module.
    pub object: String,
    /// The source file, as the object names it.
    pub source: Option<String>,
    /// All functions of the patched object, by name.
    pub functions: Vec<Function>,
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

    /// Whether there is nothing to patch, and nothing that another unit needs.
    pub fn is_empty(&self) -> bool {
        let is_new = Decision::New { is_needed: true };
        let mut functions = self.functions.iter();
        self.changed().next().is_none()
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
    /// It differs, but is used only when the kernel starts or a module is loaded or removed: see
    /// [`Patch::left_out`].
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
                write!(
                    f,
                    "{of} refers to {after} in place of {before} at {offset:#x}"
                )
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

/// Something that a livepatch cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The function or variable.
    pub subject: String,
    /// What the matter is.
    #[serde(flatten)]
    pub reason: Reason,
    /// The same in a sentence.
    pub message: String,
    /// What to do.
    pub way_out: String,
}

impl Refusal {
    /// Refuses what is to be done with `subject`.
    pub fn new(subject: impl Into<String>, reason: Reason) -> Self {
        Refusal {
            subject: subject.into(),
            message: reason.to_string(),
            way_out: reason.way_out().to_owned(),
            reason,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.message, self.way_out)
    }
}

/// Why a livepatch cannot do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// A variable has another initial value, size or contents.
    ChangedData {
        /// How it differs.
        because: Difference,
    },
    /// A static variable, of which it is not clear which one in the kernel it is.
    UnclearVariable,
    /// What runs or is used only when the kernel starts, or a module is loaded or removed.
    InitOnly {
        /// The section.
        section: String,
    },
    /// ftrace cannot reach the function.
    NoCallSite,
    /// It has an effect by standing in its section.
    Registered {
        /// The section.
        section: String,
    },
    /// Entries of this section are about the code, and nothing is known of them.
    UnknownTable {
        /// The section.
        section: String,
    },
    /// An instruction holds a constant that the kernel fills in when it starts, and never again.
    RuntimeConstant {
        /// The section with where these are.
        section: String,
    },
    /// A relocation leads to a section that is not looked into.
    UnknownSection {
        /// The section.
        section: String,
    },
    /// Neither the kernel nor a module has the symbol.
    NotFound {
        /// Its name.
        symbol: String,
    },
    /// It is not known which one of that name is meant.
    Ambiguous {
        /// Its name.
        symbol: String,
        /// What there is.
        candidates: String,
    },
    /// Something refers to the inside of a function that is not a part of the patch.
    InsideFunction {
        /// The function.
        function: String,
    },
    /// A jump to another function is too short to lead to the kernel's.
    ShortJump {
        /// The function.
        function: String,
    },
    /// A static key of a target module, which may be loaded later than the patch.
    StaticKey {
        /// Its symbol.
        symbol: String,
    },
    /// A table that is used up when the patch is loaded refers to a target module.
    TableForModule {
        /// The section.
        section: String,
        /// The module's symbol.
        symbol: String,
    },
    /// Data that is changed at run time, and that no symbol names.
    UnnamedVariable {
        /// The section.
        section: String,
    },
    /// A thread-local or otherwise strange function or variable.
    UnknownSymbol {
        /// The symbol.
        symbol: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ChangedData { because } => {
                write!(
                    f,
                    "its contents change, and the kernel has it already: {because}"
                )
            }
            Reason::UnclearVariable => {
                f.write_str("which variable of the kernel it is, is not clear")
            }
            Reason::InitOnly { section } => {
                write!(f, "it is in {section}, which is not used any more")
            }
            Reason::NoCallSite => f.write_str("ftrace cannot reach it, so it cannot be replaced"),
            Reason::Registered { section } => {
                write!(f, "it is in {section}, which the kernel has read already")
            }
            Reason::UnknownTable { section } => {
                write!(
                    f,
                    "{section} has entries about it, and it is not known what they mean"
                )
            }
            Reason::RuntimeConstant { section } => {
                write!(
                    f,
                    "it holds a constant that the kernel fills in once: see {section}"
                )
            }
            Reason::UnknownSection { section } => {
                write!(
                    f,
                    "it refers to {section}, of which nothing is taken into a patch"
                )
            }
            Reason::NotFound { symbol } => {
                write!(
                    f,
                    "it needs {symbol}, which neither the kernel nor a module has"
                )
            }
            Reason::Ambiguous { symbol, candidates } => {
                write!(
                    f,
                    "it needs {symbol}, which stands several times: {candidates}"
                )
            }
            Reason::InsideFunction { function } => {
                write!(
                    f,
                    "it refers to the inside of {function}, which does not change"
                )
            }
            Reason::ShortJump { function } => {
                write!(
                    f,
                    "it jumps to {function} with a distance that is too short"
                )
            }
            Reason::StaticKey { symbol } => {
                write!(f, "it has a branch for the static key {symbol} of a module")
            }
            Reason::TableForModule { section, symbol } => {
                write!(
                    f,
                    "{section} refers to {symbol} of a module, which may be loaded later"
                )
            }
            Reason::UnnamedVariable { section } => {
                write!(f, "it uses a variable in {section} that has no name")
            }
            Reason::UnknownSymbol { symbol } => {
                write!(
                    f,
                    "it uses {symbol}, which is neither a function nor a variable"
                )
            }
        }
    }
}

impl Reason {
    /// What to do about it.
    pub fn way_out(&self) -> &'static str {
        match self {
            Reason::ChangedData { .. } => {
                "leave the data as it is, and set it in a callback of the patch, or keep what is new \
                 in a shadow variable"
            }
            Reason::UnclearVariable => "give the new variable a name of its own",
            Reason::InitOnly { .. } => {
                "take the change out of the diff, and do in a callback of the patch what it is for"
            }
            Reason::NoCallSite => "change the functions that call it in its place",
            Reason::Registered { .. } => {
                "take it out of the diff; what has to be registered, a callback of the patch can \
                 register"
            }
            Reason::UnknownTable { .. } | Reason::UnknownSection { .. } => {
                "write this function without what fills that section"
            }
            Reason::RuntimeConstant { .. } => {
                "compile both objects with <asm-generic/runtime-const.h> in place of \
                 <asm/runtime-const.h>, as modules are"
            }
            Reason::NotFound { .. } => {
                "give the module that has it, or check that the source is that of the kernel"
            }
            Reason::Ambiguous { .. } => {
                "give a vmlinux with symbols, which tells the source files of namesakes"
            }
            Reason::InsideFunction { .. } => "change that function, too",
            Reason::ShortJump { .. } => "make the function that jumps a little larger",
            Reason::StaticKey { .. } => {
                "use static_key_enabled() in place of static_branch_likely() and \
                 static_branch_unlikely()"
            }
            Reason::TableForModule { .. } => "write this function without what fills that section",
            Reason::UnnamedVariable { .. } => "give the variable a name",
            Reason::UnknownSymbol { .. } => "write this function without it",
        }
    }
}
