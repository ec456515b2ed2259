// SPDX-License-Identifier: GPL-2.0

//! Which symbols an object has, and in which order the kernel counts those of one name.

mod module;

use crate::object_name::ObjectNameBuf;
use object::elf;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What the symbols by which a kernel or module exports another one start with.
const EXPORT_PREFIX: &[u8] = b"__ksymtab_";

/// What variables are in an ELF file.
const DATA: &str = "object";

/// What a symbol table says of a function.
pub(crate) const FUNCTION: &str = "function";

/// One symbol of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its address; in a module, its offset in its section.
    pub address: u64,
    /// What it is, in a word or in the letter that `nm` has for it.
    pub kind: String,
    /// The section that holds it, where that is known.
    pub section: Option<String>,
    /// The source file that defines it, where that is known.
    pub file: Option<String>,
    /// Whether it is visible outside of its source file.
    pub global: bool,
}

impl Candidate {
    /// Whether it is not known to be data.
    pub fn may_be_code(&self) -> bool {
        match self.kind.as_bytes() {
            [letter] => b"tTwWiI".contains(letter),
            kind => kind != DATA.as_bytes(),
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
    pub(crate) fn push(&mut self, name: &[u8], candidate: Candidate) {
        self.add_exports(std::iter::once(name));
        self.names.entry(name.to_vec()).or_default().push(candidate);
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

/// A word for the type of an ELF symbol.
pub(crate) fn kind(st_type: elf::SymbolType) -> &'static str {
    match st_type {
        elf::STT_FUNC => FUNCTION,
        elf::STT_OBJECT => DATA,
        _ => "symbol",
    }
}
