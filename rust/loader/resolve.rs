// SPDX-License-Identifier: GPL-2.0

//! From the name of a livepatch symbol to its address in the running kernel.
//!
//! Each distinct symbol of a relocation section is looked up once, however many relocations use
//! it: one of the kernel's own by the kernel's index of names, those of a module all in one walk
//! over that module's symbols.

use super::check::Fault;
use crate::format::elf::SymbolIndex;
use crate::format::name::{ObjectName, SymPos, SymbolName, SYMBOL_NAME_MAX};
use crate::format::refusal::{Refusal, Unresolved};
use crate::format::search::Search;
use crate::messages::refuse;
use crate::sys::elf::Retained;
use crate::sys::errno::enametoolong;
use crate::sys::module::InitMemory;
use crate::sys::sort::{sort, Compare};
use crate::sys::{kallsyms, Address};
use core::cmp::Ordering;
use core::ops::ControlFlow;
use kernel::prelude::*;
use kernel::str::CString;

/// A symbol that is looked for.
pub(crate) struct Wanted<'a> {
    index: SymbolIndex,
    name: SymbolName<'a>,
    found: Search<Address>,
    /// Whether what was found is init code or data.
    freed: bool,
}

impl Wanted<'_> {
    /// Says of what was found, if anything was, whether it is init code or data.
    fn set_freed(&mut self, is_freed: impl Fn(&[u8], Address) -> bool) {
        let SymbolName { object, symbol, .. } = self.name;
        let found = self.found.result(object, symbol);
        self.freed = found.is_ok_and(|address| is_freed(symbol, address));
    }
}

impl Compare for Wanted<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        let names = |wanted: &Self| (wanted.name.object, wanted.name.symbol);
        names(self).cmp(&names(other))
    }
}

/// A name with the NUL that the kernel's functions want.
pub(crate) struct NameBuffer([u8; SYMBOL_NAME_MAX + 1]);

impl NameBuffer {
    /// Room for one name. It is large: not for the stack.
    pub(crate) fn new() -> Result<KBox<NameBuffer>> {
        Ok(KBox::new(NameBuffer([0; SYMBOL_NAME_MAX + 1]), GFP_KERNEL)?)
    }

    /// `name`, with a NUL.
    fn fill(&mut self, name: &[u8]) -> Result<&CStr> {
        let room = self.0.get_mut(..=name.len()).ok_or_else(enametoolong)?;
        let (text, nul) = room.split_at_mut(name.len());
        text.copy_from_slice(name);
        nul.fill(0);
        CStr::from_bytes_with_nul(room).map_err(|_| EINVAL)
    }
}

/// Looks up one symbol.
///
/// # Errors
///
/// `EINVAL` as [`Search::result`] has it, or for init code and data, which is logged; `ENOMEM`.
pub(crate) fn one(object: ObjectName<'_>, symbol: &CStr, position: SymPos) -> Result<Address> {
    let mut search = Search::new(position);
    let name = symbol.to_bytes();
    let refused = |unresolved| refuse(&Refusal::Function(unresolved));
    let (address, freed) = if object.is_vmlinux() {
        kallsyms::each_in_vmlinux(symbol, |address| search.saw(address));
        let address = search.result(object, name).map_err(refused)?;
        (address, kallsyms::is_freed(name, address))
    } else {
        let module = CString::try_from_fmt(fmt!("{}", object))?;
        // It may free that meanwhile, and then what is found is not in it.
        let init = InitMemory::of(&module);
        kallsyms::each_in_module(&module, |name, address| {
            if name == symbol {
                search.saw(address)
            } else {
                ControlFlow::Continue(())
            }
        });
        let address = search.result(object, name).map_err(refused)?;
        (address, init.has(address))
    };
    if freed {
        let symbol = name;
        return Err(refused(Unresolved::Freed { symbol, object }));
    }
    Ok(address)
}

/// The symbols that a section's relocations name, each one once.
pub(crate) struct WantedSymbols<'a> {
    symbols: KVVec<Wanted<'a>>,
    /// One bit a symbol of the table: whether it is among them.
    seen: KVVec<u64>,
}

impl<'a> WantedSymbols<'a> {
    /// None yet, of a table with `count` symbols.
    pub(crate) fn new(count: u32) -> Result<Self> {
        let words = (count as usize).div_ceil(64);
        Ok(WantedSymbols {
            symbols: KVVec::new(),
            seen: KVVec::from_elem(0, words, GFP_KERNEL)?,
        })
    }

    /// Whether a symbol is there already; from now on it is.
    pub(crate) fn saw(&mut self, SymbolIndex(index): SymbolIndex) -> bool {
        match self.seen.get_mut(index as usize / 64) {
            Some(word) => {
                let bit = 1 << (index % 64);
                let before = *word & bit != 0;
                *word |= bit;
                before
            }
            None => false,
        }
    }

    /// One more.
    pub(crate) fn push(&mut self, index: SymbolIndex, name: SymbolName<'a>) -> Result {
        let wanted = Wanted {
            index,
            name,
            found: Search::new(name.position),
            freed: false,
        };
        Ok(self.symbols.push(wanted, GFP_KERNEL)?)
    }

    /// Looks all of them up.
    ///
    /// # Errors
    ///
    /// The first one that is not found as it is named, or is init code or data; `ENOMEM`.
    pub(super) fn resolve(mut self) -> Result<KVVec<(SymbolIndex, Address)>, Fault<'a>> {
        sort(&mut self.symbols);
        let mut buffer = NameBuffer::new()?;
        let mut rest = self.symbols.as_mut_slice();
        while let Some(object) = rest.first().map(|wanted| wanted.name.object) {
            let count = rest.partition_point(|wanted| wanted.name.object == object);
            let (group, others) = rest.split_at_mut(count);
            if object.is_vmlinux() {
                for wanted in group.iter_mut() {
                    let name = buffer.fill(wanted.name.symbol)?;
                    kallsyms::each_in_vmlinux(name, |address| wanted.found.saw(address));
                    wanted.set_freed(kallsyms::is_freed);
                }
            } else {
                let module = buffer.fill(object.as_bytes())?;
                // As in `one()`.
                let init = InitMemory::of(module);
                kallsyms::each_in_module(module, |name, address| {
                    saw_in_module(group, name.to_bytes(), address);
                    ControlFlow::Continue(())
                });
                for wanted in group.iter_mut() {
                    wanted.set_freed(|_, address| init.has(address));
                }
            }
            rest = others;
        }
        let mut found = KVVec::with_capacity(self.symbols.len(), GFP_KERNEL)?;
        for wanted in self.symbols.iter() {
            let SymbolName { object, symbol, .. } = wanted.name;
            // Address 0 is where the first per-CPU variable of a kernel may be.
            let address = wanted.found.result(object, symbol)?;
            if wanted.freed {
                return Err(Unresolved::Freed { symbol, object }.into());
            }
            found.push((wanted.index, address), GFP_KERNEL)?;
        }
        Ok(found)
    }
}

/// A symbol of a module was seen; `group` is sorted by name.
fn saw_in_module(group: &mut [Wanted<'_>], name: &[u8], address: Address) {
    let start = group.partition_point(|wanted| wanted.name.symbol.cmp(name) == Ordering::Less);
    for wanted in group.iter_mut().skip(start) {
        if wanted.name.symbol != name {
            break;
        }
        // The walk goes on for the others, so that it does not matter what this says.
        let _ = wanted.found.saw(address);
    }
}

/// Enters addresses in the symbol table that relocations are applied with.
pub(crate) fn enter(elf: &mut Retained, found: &[(SymbolIndex, Address)]) {
    for &(index, address) in found {
        elf.set_symbol(index, address);
    }
}
