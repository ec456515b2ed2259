// SPDX-License-Identifier: GPL-2.0

//! What a livepatch cannot do, why, and what can be done in its place.

use crate::model::{CallbackKind, Difference};
use serde::{Deserialize, Serialize};
use std::fmt;

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

impl std::error::Error for Refusal {}

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
    /// A structure or union has another layout.
    ChangedLayout {
        /// How it differs, for people.
        because: String,
    },
    /// An enumerator has another number.
    ChangedEnumeration {
        /// Its name.
        enumerator: String,
        /// Its number in the kernel, in decimal; a string, as not all fit into 64 bits.
        before: String,
        /// Its number with the fix.
        after: String,
    },
    /// An exported function takes or returns something else.
    ChangedInterface {
        /// What modules were compiled for, in words of C.
        before: String,
        /// What it is now.
        after: String,
    },
    /// A static variable, of which it is not clear which one in the kernel it is.
    UnclearVariable,
    /// One of several that the compiler numbers, and it is not clear which one in the kernel it is.
    UnclearNumber {
        /// Its name.
        symbol: String,
    },
    /// What runs or is used only when the kernel starts, or a module is loaded or removed.
    InitOnly {
        /// The section.
        section: String,
    },
    /// ftrace cannot reach the function.
    NoCallSite,
    /// ftrace must not reach the function.
    Guarded {
        /// The section.
        section: String,
    },
    /// It is not a part of the running kernel.
    OtherProgram {
        /// What it is a part of.
        program: String,
    },
    /// It is weak, and the kernel has another function of that name.
    Overridden,
    /// It is weak, and the kernel may have another function of that name.
    MaybeOverridden,
    /// A new variable may be one of the kernel's under a new name.
    MaybeRenamed {
        /// The variable that is gone.
        gone: String,
    },
    /// A new variable that init code uses as well, which has run without it.
    SetUpByInit {
        /// The init code.
        function: String,
    },
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
    /// It is among the callbacks, and no callback.
    UnknownCallback,
    /// It is a callback of another object than the one that its source file belongs to.
    CallbackOfAnother {
        /// When it is called.
        kind: CallbackKind,
        /// The object that it names.
        of: String,
        /// The object that is patched.
        object: String,
    },
    /// A callback is not a function of the patch.
    CallbackOfKernel {
        /// The function.
        function: String,
    },
    /// Several callbacks are to be called at the same time, and there is room for one.
    SeveralCallbacks {
        /// When they are called.
        kind: CallbackKind,
        /// One, with its source file.
        first: String,
        /// Another one, with its source file.
        second: String,
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
            Reason::ChangedLayout { because } => {
                write!(
                    f,
                    "its layout changes, and the kernel may have some already: {because}"
                )
            }
            Reason::ChangedEnumeration {
                enumerator,
                before,
                after,
            } => {
                write!(
                    f,
                    "{enumerator} becomes {after} in place of {before}, and memory and other code \
                     may have the old number"
                )
            }
            Reason::ChangedInterface { before, after } => {
                write!(f, "modules can call it as {before}, and it becomes {after}")
            }
            Reason::UnclearVariable => {
                f.write_str("which variable of the kernel it is, is not clear")
            }
            Reason::UnclearNumber { symbol } => {
                write!(
                    f,
                    "it needs {symbol}, and which one of that name but for the number it is in the \
                     kernel is not clear"
                )
            }
            Reason::InitOnly { section } => {
                write!(f, "it is in {section}, which is not used any more")
            }
            Reason::NoCallSite => f.write_str("ftrace cannot reach it, so it cannot be replaced"),
            Reason::Guarded { section } => {
                write!(
                    f,
                    "it is in {section}, where it must not be traced, so it cannot be replaced"
                )
            }
            Reason::OtherProgram { program } => {
                write!(
                    f,
                    "it is a part of {program}, and not of the running kernel"
                )
            }
            Reason::Overridden => {
                f.write_str("it is weak, and the kernel has another function of that name")
            }
            Reason::MaybeOverridden => {
                f.write_str("it is weak, and the kernel may have another function of that name")
            }
            Reason::MaybeRenamed { gone } => {
                write!(
                    f,
                    "it is new, and {gone} of the same size is gone: it may be the same variable"
                )
            }
            Reason::SetUpByInit { function } => {
                write!(
                    f,
                    "it is new, and {function} is to set it up, which has run already"
                )
            }
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
            Reason::UnknownCallback => {
                f.write_str("it is among the callbacks of the patch, and does not name a function")
            }
            Reason::CallbackOfAnother { kind, of, object } => {
                write!(
                    f,
                    "it is a {kind} callback of {of}, and its source file is a part of {object}"
                )
            }
            Reason::CallbackOfKernel { function } => {
                write!(
                    f,
                    "its function {function} is the kernel's, and not a part of the patch"
                )
            }
            Reason::SeveralCallbacks {
                kind,
                first,
                second,
            } => {
                write!(
                    f,
                    "it has several {kind} callbacks, and can have one: {first} and {second}"
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
            Reason::ChangedLayout { .. } => {
                "leave it as it is, and keep what is new in a shadow variable"
            }
            Reason::ChangedEnumeration { .. } => {
                "leave the numbers as they are, and give new enumerators numbers that none has had"
            }
            Reason::ChangedInterface { .. } => {
                "leave it as it is, and add a function for those that need another one"
            }
            Reason::UnclearVariable => "give the new variable a name of its own",
            Reason::UnclearNumber { .. } => {
                "change functions that do not use it, or restart with a kernel that has the fix"
            }
            Reason::InitOnly { .. } => {
                "take the change out of the diff, and do in a callback of the patch what it is for"
            }
            Reason::NoCallSite => "change the functions that call it in its place",
            Reason::Guarded { .. } => {
                "change functions that it calls or that call it, outside of that section, or restart \
                 with a kernel that has the fix"
            }
            Reason::OtherProgram { .. } => {
                "take the change out of the diff, and restart with a kernel that has the fix"
            }
            Reason::Overridden => "take the change out of the diff: this kernel does not need it",
            Reason::MaybeOverridden => "give symbols that tell which ones are weak",
            Reason::MaybeRenamed { .. } => "give the variable the name that it had",
            Reason::SetUpByInit { .. } => {
                "set it up in a callback of the patch, or give it an initial value"
            }
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
                "give the Module.symvers that lists it (--symvers), or check that the source is that of the \
                 kernel"
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
            Reason::UnknownCallback => {
                "declare callbacks with the macros of <linux/livepatch_helpers.h>"
            }
            Reason::CallbackOfAnother { .. } => {
                "declare it in a source file of the object that it is for"
            }
            Reason::CallbackOfKernel { .. } => "add a new function that calls it, and declare that",
            Reason::SeveralCallbacks { .. } => "make one of them, which does what both do",
        }
    }
}
