// SPDX-License-Identifier: GPL-2.0

//! Code that is looked for on the stacks of tasks.

use super::module::Module;
use super::sort::{sort, Compare};
use super::{bindings, kprobes, Address};
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

/// The pages of what is watched, by the last bits of their numbers: others may have the same.
struct Pages([usize; Pages::WORDS]);

impl Pages {
    /// As many bits as tell apart the pages of some hundred functions.
    const WORDS: usize = 1024 / usize::BITS as usize;

    /// None.
    const NONE: Pages = Pages([0; Pages::WORDS]);

    /// The word and the bit in it for the page that `address` is in.
    #[inline(always)]
    fn place(address: usize) -> (usize, usize) {
        let page = address / bindings::LP_PAGE_SIZE;
        let bits = usize::BITS as usize;
        (page / bits % Pages::WORDS, 1 << (page % bits))
    }

    /// Adds those that `piece` lies in.
    fn add(&mut self, piece: &Range<Address>) {
        let first = piece.start.0 & !(bindings::LP_PAGE_SIZE - 1);
        for address in (first..piece.end.0).step_by(bindings::LP_PAGE_SIZE) {
            let (word, bit) = Pages::place(address);
            if let Some(word) = self.0.get_mut(word) {
                *word |= bit;
            }
        }
    }

    /// Whether `address` may be in one of them.
    #[inline(always)]
    fn may_hold(&self, address: usize) -> bool {
        let (word, bit) = Pages::place(address);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// Code that tasks are not to be in.
///
/// # Invariants
///
/// After [`seal`](Self::seal) `functions` are sorted and do not overlap, and everything that is
/// watched lies within `bounds` and `pages`.
pub(crate) struct Watch {
    functions: KVVec<Code>,
    /// From the start of the first piece of all that is watched to the end of the last.
    bounds: Range<Address>,
    /// How long that is.
    width: usize,
    /// What of that may be watched: a function of the kernel and one of a module have nearly all code
    /// in between.
    pages: Pages,
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
            bounds: Address(0)..Address(0),
            width: 0,
            pages: Pages::NONE,
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
        Ok(self
            .functions
            .push(Code { start, end, label }, GFP_KERNEL)?)
    }

    /// Adds the code in `range`, as part of a function.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn add_range(&mut self, range: &Range<Address>, label: usize) -> Result {
        self.add(
            range.start,
            range.end.0.saturating_sub(range.start.0),
            label,
        )
    }

    /// Adds text of a module, if there is any.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn add_text(&mut self, start: Address, size: usize, label: usize) -> Result {
        if size == 0 {
            return Ok(());
        }
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
        self.detours = match self.is_empty() {
            true => kprobes::Detours::none(),
            false => kprobes::Detours::find()?,
        };
        // INVARIANT: They are as wide as all pieces, and hold the pages of all.
        let pieces = Iterator::chain(self.functions.iter(), self.texts.iter());
        let pieces = pieces.map(|code| code.start..code.end);
        let mut bounds: Option<Range<Address>> = None;
        self.pages = Pages::NONE;
        for piece in Iterator::chain(pieces, self.detours.iter()) {
            self.pages.add(&piece);
            let (start, end) = bounds.map_or((piece.start, piece.end), |bounds| {
                (bounds.start.min(piece.start), bounds.end.max(piece.end))
            });
            bounds = Some(start..end);
        }
        self.bounds = bounds.unwrap_or(Address(0)..Address(0));
        self.width = self.bounds.end.0.saturating_sub(self.bounds.start.0);
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
        self.filtered(|code| !module.contains(code.start, 1))
    }

    /// The same with the detours that there are now.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(super) fn renewed(&self) -> Result<Watch> {
        self.filtered(|_| true)
    }

    fn filtered(&self, keep: impl Fn(&Code) -> bool) -> Result<Watch> {
        let mut watch = Watch::new();
        for code in self.functions.iter().filter(|code| keep(code)) {
            watch.functions.push(*code, GFP_KERNEL)?;
        }
        watch.texts.extend_from_slice(&self.texts, GFP_KERNEL)?;
        watch.seal()?;
        Ok(watch)
    }

    /// Whether detours have come since the watch was sealed.
    pub(crate) fn is_outdated(&self) -> bool {
        !self.is_empty() && self.detours.have_changed()
    }

    /// Why a task is in the way on whose stack there is `word`, as an address that it will return to,
    /// if it is.
    #[inline(always)]
    pub(super) fn reason(&self, scope: Scope, word: usize) -> Option<Reason> {
        // Most words are not even near it.
        let may_be =
            word.wrapping_sub(self.bounds.start.0) < self.width && self.pages.may_hold(word);
        match may_be {
            true => self.reason_at(scope, Address(word)),
            false => None,
        }
    }

    #[inline(never)]
    fn reason_at(&self, scope: Scope, address: Address) -> Option<Reason> {
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

    fn function_at(&self, address: Address) -> Option<usize> {
        let next = self.functions.partition_point(|code| code.start <= address);
        let last = self.functions.get(next.checked_sub(1)?)?;
        (address < last.end).then_some(last.label)
    }
}
