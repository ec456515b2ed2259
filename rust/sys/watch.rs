// SPDX-License-Identifier: GPL-2.0

//! Code that is looked for on the stacks of tasks.

use super::sort::{sort, Compare};
use super::module::Module;
use super::{kprobes, Address};
use core::cmp::Ordering;
use core::ops::Range;
use kernel::prelude::*;

/// A piece of code, from `start` up to `end`, with a number that the owner of the watch knows it by.
#[derive(Clone, Copy)]
struct Code {
    start: Address,
    end: Address,
    label: usize,
}

impl Code {
    fn contains(&self, address: Address) -> bool {
        (self.start..self.end).contains(&address)
    }
}

impl Compare for Code {
    fn compare(&self, other: &Self) -> Ordering {
        self.start.cmp(&other.start)
    }
}

/// Why a task is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is in the function with this label.
    InFunction(usize),
    /// It is somewhere in the text with this label.
    InText(usize),
    /// Its stack cannot be told with certainty.
    UnreliableStack,
}

impl Reason {
    /// As one word.
    pub(super) fn to_word(self) -> usize {
        match self {
            Reason::UnreliableStack => 0,
            Reason::InFunction(label) => label * 2 + 1,
            Reason::InText(label) => label * 2 + 2,
        }
    }

    /// The one that [`to_word`](Self::to_word) wrote.
    pub(super) fn from_word(word: usize) -> Self {
        match word {
            0 => Reason::UnreliableStack,
            odd if odd % 2 == 1 => Reason::InFunction(odd / 2),
            even => Reason::InText(even / 2 - 1),
        }
    }
}

/// Which part of a watch counts for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    All,
    /// Functions only. A kernel thread whose thread function is in a text that is watched is that
    /// module's own, which ends it itself.
    Functions,
}

/// Code that tasks are not to be in.
///
/// # Invariants
///
/// After [`seal`](Self::seal) `functions` are sorted and do not overlap, and `span` goes from the
/// start of the first to the end of the last.
pub(crate) struct Watch {
    functions: KVVec<Code>,
    span: Range<Address>,
    /// Whole modules; there are few.
    texts: KVVec<Code>,
    /// Where optimized kprobes run what they have displaced: a task in there may be anywhere.
    detours: kprobes::Detours,
}

impl Watch {
    /// Nothing is watched.
    pub(crate) const fn new() -> Watch {
        Watch {
            functions: KVVec::new(),
            span: Address(0)..Address(0),
            texts: KVVec::new(),
            detours: kprobes::Detours::none(),
        }
    }

    /// Adds `size` bytes of a function, or of what belongs to it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn add(&mut self, start: Address, size: usize, label: usize) -> Result {
        let end = start.offset(size);
        Ok(self.functions.push(Code { start, end, label }, GFP_KERNEL)?)
    }

    /// Adds the code in `range`, as part of a function.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn add_range(&mut self, range: &Range<Address>, label: usize) -> Result {
        self.add(range.start, range.end.0.saturating_sub(range.start.0), label)
    }

    /// Adds a module's text.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn add_text(&mut self, start: Address, size: usize, label: usize) -> Result {
        let end = start.offset(size);
        Ok(self.texts.push(Code { start, end, label }, GFP_KERNEL)?)
    }

    /// Ends the adding: sorts what is watched, makes one of what overlaps (an entry lies within its
    /// function, and functions may have several names), and asks where kprobes have their detours.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn seal(&mut self) -> Result {
        sort(&mut self.functions);
        let mut kept: usize = 0;
        for index in 0..self.functions.len() {
            let Some(current) = self.functions.get(index).copied() else {
                break;
            };
            let last = kept
                .checked_sub(1)
                .and_then(|last| self.functions.get_mut(last));
            match last.filter(|last| current.start < last.end) {
                Some(last) => last.end = last.end.max(current.end),
                None => {
                    if let Some(slot) = self.functions.get_mut(kept) {
                        *slot = current;
                    }
                    kept += 1;
                }
            }
        }
        // INVARIANT: They were sorted, and those that overlapped are one now.
        self.functions.truncate(kept);
        if let (Some(first), Some(last)) = (self.functions.first(), self.functions.last()) {
            self.span = first.start..last.end;
        }
        self.detours = match self.is_empty() {
            true => kprobes::Detours::none(),
            false => kprobes::Detours::find()?,
        };
        Ok(())
    }

    /// Whether nothing is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.texts.is_empty()
    }

    /// The same without what is a module's.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn without(&self, module: &Module<'_>) -> Result<Watch> {
        let mut watch = Watch::new();
        for code in self.functions.iter() {
            if !module.contains(code.start, 1) {
                watch.functions.push(*code, GFP_KERNEL)?;
            }
        }
        watch.texts.extend_from_slice(&self.texts, GFP_KERNEL)?;
        watch.seal()?;
        Ok(watch)
    }

    /// Whether detours have come since the watch was sealed.
    pub(crate) fn is_outdated(&self) -> bool {
        !self.is_empty() && self.detours.have_changed()
    }

    /// Whether a word of a stack may be an address in what is watched.
    #[inline(always)]
    pub(super) fn is_wanted(&self, scope: Scope, word: usize) -> bool {
        let address = Address(word);
        self.function_at(address).is_some()
            || (scope == Scope::All && self.texts.iter().any(|text| text.contains(address)))
            || self.detours.contain(address)
    }

    /// Why a task is in the way that will return to `address`, if it is.
    pub(super) fn reason(&self, scope: Scope, address: usize) -> Option<Reason> {
        let address = Address(address);
        if let Some(label) = self.function_at(address) {
            return Some(Reason::InFunction(label));
        }
        if self.detours.contain(address) {
            return Some(Reason::UnreliableStack);
        }
        let text = match scope {
            Scope::All => self.texts.iter().find(|text| text.contains(address)),
            Scope::Functions => None,
        };
        text.map(|text| Reason::InText(text.label))
    }

    /// Whether `address` is in one of the texts.
    pub(super) fn is_in_text(&self, address: Address) -> bool {
        self.texts.iter().any(|text| text.contains(address))
    }

    #[inline(always)]
    fn function_at(&self, address: Address) -> Option<usize> {
        if !self.span.contains(&address) {
            return None;
        }
        let next = self
            .functions
            .partition_point(|code| code.start <= address);
        let last = self.functions.get(next.checked_sub(1)?)?;
        (address < last.end).then_some(last.label)
    }
}
