// SPDX-License-Identifier: GPL-2.0

//! What has to be known of the kernel that is patched.

/// What is patched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `vmlinux`, or the name of the module that the two objects are a part of.
    pub object: String,
    /// A name for this part of the patch, which no other part of the same patch has: such as the
    /// path of the source file. Symbols of the emitted object are made of it.
    pub unit: String,
}

/// A symbol that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is a function; else it is a variable, or this is not known.
    pub is_function: bool,
    /// Whether the file that is patched defines it, so that it is in the target.
    pub is_of_file: bool,
    /// Whether only its own file sees it.
    pub is_local: bool,
    /// The name of the source file that is patched, without its directory, if it is known.
    pub source: Option<&'a str>,
    /// What else the file defines, in the order of the original object: functions and variables
    /// that tell this file from others which have one of the same name.
    pub beside: &'a [String],
}

/// Where a symbol is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// `vmlinux` or the name of a module.
    pub object: String,
    /// Which one of that name there, as `old_sympos` of `struct klp_func` counts: 0 where there is
    /// only one, else from 1.
    pub position: u64,
}

/// Why a symbol is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLocated {
    /// There is none of that name.
    Missing,
    /// There are several, and it cannot be said which one is meant.
    Ambiguous {
        /// What there is, for people.
        candidates: String,
    },
    /// The compiler numbers several of that name, and which one it is there is not known.
    Unclear,
}

/// The kernel that is patched, and its modules.
pub trait Kernel {
    /// Whether every module can refer to the symbol by its name alone. A symbol that only some
    /// modules may use (`EXPORT_SYMBOL_FOR_MODULES()`) is not exported in this sense.
    fn is_exported(&self, name: &str) -> bool;

    /// Where a symbol is. What the target has comes before what others have: `__this_module` of a
    /// module is its own.
    fn locate(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated>;

    /// What the kernel calls a symbol that the file defines, of which the compiler may have given
    /// another number to the kernel's ([`Numbered`](crate::Numbered)); `None` where that is not clear.
    fn name_there<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        Some(name)
    }

    /// Whether the symbol is new in the patch, and one unit of it defines what another one uses.
    /// Units are compared one by one, so that only the caller can know.
    fn is_shared(&self, _name: &str) -> bool {
        false
    }

    /// Whether the symbol at `location` is weak (`STB_WEAK`, or `W` in kallsyms); `None` where that
    /// is not known. Of a weak function and one that overrides it, the kernel has only one.
    fn is_weak(&self, _name: &str, _location: &Location) -> Option<bool> {
        None
    }

    /// Whether ftrace can redirect the function at `location`; `None` where that is not known, and
    /// the object has to tell.
    fn has_call_site(&self, name: &str, location: &Location) -> Option<bool>;
}
