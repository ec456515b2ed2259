// SPDX-License-Identifier: GPL-2.0

//! Which symbols an object has, and in which order the kernel counts those of one name.

mod module;

use crate::object_name::ObjectNameBuf;
use object::elf;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What the symbols by which a kernel or module exports another one start with.
const EXPORT_PREFIX: &[u8] = b"__ksymtab_";

/// What a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A function, as a symbol table says.
    Function,
    /// A variable, as a symbol table says.
    Variable,
    /// A symbol table says that it is neither, or nothing.
    Other,
    /// The letter that `nm` has for it, which is all that a list of symbols says.
    Letter(u8),
}

impl From<elf::SymbolType> for Kind {
    fn from(st_type: elf::SymbolType) -> Self {
        match st_type {
            elf::STT_FUNC => Kind::Function,
            elf::STT_OBJECT => Kind::Variable,
            _ => Kind::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Function => f.pad("function"),
            Kind::Variable => f.pad("object"),
            Kind::Other => f.pad("symbol"),
            Kind::Letter(letter) => f.pad(char::from(*letter).encode_utf8(&mut [0; 4])),
        }
    }
}

/// One symbol of an object. A kernel has some 200,000: what many have in common, they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its address; in a module, its offset in its section.
    pub address: u64,
    /// What it is.
    pub kind: Kind,
    /// The section that holds it, where that is known.
    pub section: Option<Arc<str>>,
    /// The source file that defines it, where that is known.
    pub file: Option<Arc<str>>,
    /// Whether it is visible outside of its source file.
    pub global: bool,
}

impl Candidate {
    /// Whether it is not known to be data.
    pub fn may_be_code(&self) -> bool {
        match self.kind {
            Kind::Letter(letter) => b"tTwWiI".contains(&letter),
            kind => kind != Kind::Variable,
        }
    }
}

/// The symbols of one object that livepatch can find in a running kernel.
#[derive(Debug)]
pub struct ObjectSymbols {
    /// Whose symbols they are.
    pub object: ObjectNameBuf,
    /// The file that says so.
    pub source: PathBuf,
    /// For every name its symbols, in the order in which positions are counted: the first has
    /// position 1.
    names: BTreeMap<Vec<u8>, Vec<Candidate>>,
    /// Names that also stand where symbols are visible only while the object is being loaded.
    while_loading: BTreeSet<Vec<u8>>,
    /// Names in a module's init code and data.
    init: BTreeSet<Vec<u8>>,
    /// Names that are exported.
    exports: BTreeSet<Vec<u8>>,
    /// Whether the kernel has no list of variables: it is built without `CONFIG_KALLSYMS_ALL`.
    pub functions_only: bool,
}

impl ObjectSymbols {
    pub(crate) fn new(object: ObjectNameBuf, source: PathBuf) -> Self {
        ObjectSymbols {
            object,
            source,
            names: BTreeMap::new(),
            while_loading: BTreeSet::new(),
            init: BTreeSet::new(),
            exports: BTreeSet::new(),
            functions_only: false,
        }
    }

    /// Adds the next symbol, in the order in which positions are counted.
    pub(crate) fn push(&mut self, name: impl Into<Vec<u8>>, candidate: Candidate) {
        let name = name.into();
        self.add_exports(std::iter::once(&name[..]));
        // Nearly all names stand once.
        let named = self.names.entry(name);
        named
            .or_insert_with(|| Vec::with_capacity(1))
            .push(candidate);
    }

    /// Adds what symbols of these names say is exported.
    pub(crate) fn add_exports<'a>(&mut self, names: impl Iterator<Item = &'a [u8]>) {
        let exported = names.filter_map(|name| name.strip_prefix(EXPORT_PREFIX));
        self.exports.extend(exported.map(<[u8]>::to_vec));
    }

    /// The symbols of that name, in the order in which positions are counted.
    pub fn get(&self, name: &[u8]) -> &[Candidate] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().map(Vec::as_slice)
    }

    /// All symbols, in no order that matters.
    pub fn all(&self) -> impl Iterator<Item = &Candidate> {
        self.names.values().flatten()
    }

    /// Whether anything is known to be exported.
    pub fn has_exports(&self) -> bool {
        !self.exports.is_empty()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the object exports that name.
    pub fn exports(&self, name: &[u8]) -> bool {
        self.exports.contains(name)
    }

    /// Whether the name stands in a module's init code or data.
    pub fn is_init(&self, name: &[u8]) -> bool {
        self.init.contains(name)
    }

    /// Whether the name also stands in a part of the module that is gone once it is loaded.
    pub fn also_while_loading(&self, name: &[u8]) -> bool {
        self.while_loading.contains(name)
    }
}
