// SPDX-License-Identifier: GPL-2.0

//! The kernel's own list of its symbols, from which `/proc/kallsyms` is written.
//!
//! `scripts/kallsyms.c` of the kernel source writes these tables into the kernel's read-only
//! data, and `kernel/kallsyms.c` reads them. Nothing points to them, but some are so regular that
//! they are found by what they are. What comes after what depends on the release:
//!
//! | | |
//! | --- | --- |
//! | to 6.4 | offsets, base, count, names, markers, (numbers by name,) tokens, token index |
//! | to 7.2 | count, names, markers, tokens, token index, offsets, base, numbers by name |
//! | since | the same without base |
//!
//! - *tokens*: 256 strings. A byte of a name stands for one of them.
//! - *token index*: for each where it begins, as 16 bits.
//! - *names*: for each symbol, by address, a length in one or two bytes, and that many bytes. The
//!   first character that they stand for is the letter that `nm` has for the symbol.
//! - *markers*: where each 256th name begins, as 32 bits.
//! - *offsets*: for each symbol 32 bits. Without a base, its distance from these bits themselves.
//!   With one, what is added to it; or, with `CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, one less than
//!   what is subtracted from it, or an address if it is not negative.
//! - *numbers by name*: for each symbol, by name, its place among the others, as 24 bits.
//!
//! Everything begins at a multiple of 8, or since the base is gone, of 4.

use crate::memory::{endian, Memory};
use crate::{Error, Result};
use livepatch_format::elf::Endian;
use memchr::memmem;
use std::ops::Range;

/// The tokens of digits, which occur in the names of every kernel, and stand for themselves.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";

/// How many tokens there are.
const TOKENS: usize = 256;

/// How many names are between two markers.
const STEP: usize = 256;

/// `KSYM_NAME_LEN`, to which the kernel cuts longer names.
const NAME_MAX: usize = 512;

/// More symbols than this cannot be numbered.
const SYMBOLS_MAX: usize = 1 << 24;

/// How many places that look like markers are looked at: there is one in a kernel.
const TRIES: usize = 16;

/// To what the beginning of a table is aligned.
const ALIGNMENTS: [usize; 2] = [8, 4];

/// The kernel's list of its symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kallsyms {
    /// All of them, in the kernel's order.
    pub symbols: Vec<Symbol>,
}

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its address, as the kernel is linked.
    pub address: u64,
    /// The letter that `nm` has for it.
    pub kind: u8,
    /// Its name.
    pub name: Vec<u8>,
}

impl Kallsyms {
    /// Finds the list in a kernel's memory.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(memory: &Memory) -> Result<Self> {
        let endian = endian(memory.machine);
        let found = memory.segments().find_map(|(address, bytes)| {
            Tables::find(Bytes {
                address,
                bytes,
                endian,
            })
        });
        found.ok_or(Error::NoKallsyms)
    }

    /// Whether variables are among them, as with `CONFIG_KALLSYMS_ALL`.
    pub fn has_variables(&self) -> bool {
        self.symbols
            .iter()
            .any(|symbol| is_variable(symbol.kind, &symbol.name))
    }
}

/// Whether a symbol is one that a kernel without `CONFIG_KALLSYMS_ALL` does not list. What tells
/// where a section begins or ends is listed all the same, and so are constants in code.
pub fn is_variable(kind: u8, name: &[u8]) -> bool {
    let is_edge = name.starts_with(b"__start_") || name.starts_with(b"__stop_");
    b"bBdD".contains(&kind) && !is_edge
}

/// Bytes that belong to an address.
#[derive(Clone, Copy)]
struct Bytes<'a> {
    address: u64,
    bytes: &'a [u8],
    endian: Endian,
}

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk().copied()
    }

    fn half(&self, offset: usize) -> Option<u16> {
        let bytes = self.array(offset)?;
        Some(match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        })
    }

    fn word(&self, offset: usize) -> Option<u32> {
        let bytes = self.array(offset)?;
        Some(match self.endian {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        })
    }

    fn long(&self, offset: usize) -> Option<u64> {
        let bytes = self.array(offset)?;
        Some(match self.endian {
            Endian::Little => u64::from_le_bytes(bytes),
            Endian::Big => u64::from_be_bytes(bytes),
        })
    }

    /// The offset at or after `offset` whose address is a multiple of `align`.
    fn align(&self, offset: usize, align: usize) -> Option<usize> {
        let address = self.address.checked_add(offset as u64)?;
        let past = address % align as u64;
        let pad = if past == 0 { 0 } else { align as u64 - past };
        offset.checked_add(pad as usize)
    }

    /// The offset at or before `offset` whose address is a multiple of 4.
    fn align_down(&self, offset: usize) -> Option<usize> {
        let past = self.address.checked_add(offset as u64)? % 4;
        offset.checked_sub(past as usize)
    }

    /// Whether there is nothing but what fills up to the next table.
    fn is_padding(&self, range: Range<usize>) -> bool {
        range.len() < 8
            && self
                .bytes
                .get(range)
                .is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
    }
}

/// Where the tokens are, and what they are.
struct Tokens<'a> {
    start: usize,
    /// Where the table that follows them ends.
    end: usize,
    texts: Vec<&'a [u8]>,
}

/// Where the names are.
struct Names {
    /// Where the number of symbols stands.
    count_at: usize,
    count: usize,
    start: usize,
    /// Where the markers end.
    end: usize,
}

struct Tables<'a> {
    data: Bytes<'a>,
    tokens: Tokens<'a>,
    names: Names,
}

/// How an offset becomes an address.
enum Base {
    /// It is the distance from itself.
    Own,
    /// It is added to this.
    Relative(u64),
    /// It is subtracted from this, and one more, if it is negative; else it is the address.
    BelowZero(u64),
}

impl Tables<'_> {
    fn find(data: Bytes<'_>) -> Option<Kallsyms> {
        memmem::find_iter(data.bytes, DIGITS).find_map(|digits| {
            let tokens = Tokens::around(data, digits)?;
            let names = Names::before(data, tokens.start)?;
            let tables = Tables {
                data,
                tokens,
                names,
            };
            let (offsets, base) = tables.offsets()?;
            tables.symbols(offsets, &base)
        })
    }

    /// Where the offsets are, and what they are relative to.
    fn offsets(&self) -> Option<(usize, Base)> {
        self.offsets_after().or_else(|| self.offsets_before())
    }

    /// After the tokens, and before the numbers by name.
    fn offsets_after(&self) -> Option<(usize, Base)> {
        let (data, count) = (&self.data, self.names.count);
        for align in ALIGNMENTS {
            let Some(offsets) = data.align(self.tokens.end, align) else {
                continue;
            };
            let Some(end) = offsets.checked_add(4 * count) else {
                continue;
            };
            for has_base in [true, false] {
                let base_at = data.align(end, if has_base { 8 } else { align })?;
                let numbers = if has_base { base_at + 8 } else { base_at };
                if self.are_numbers(numbers) {
                    return Some(match has_base {
                        true => (offsets, self.base(offsets, data.long(base_at)?)),
                        false => (offsets, Base::Own),
                    });
                }
            }
        }
        None
    }

    /// Before the number of symbols.
    fn offsets_before(&self) -> Option<(usize, Base)> {
        let data = &self.data;
        // The numbers by name come between, or nothing does.
        let follows = |end: usize| data.align(end, 8) == Some(self.tokens.start);
        let numbers = data.align(self.names.end, 8)?;
        let are_numbered = || {
            let end = numbers.checked_add(3 * self.names.count);
            end.is_some_and(follows) && self.are_numbers(numbers)
        };
        if !follows(self.names.end) && !are_numbered() {
            return None;
        }
        let base_at = self.names.count_at.checked_sub(8)?;
        let offsets = base_at.checked_sub((4 * self.names.count).next_multiple_of(8))?;
        let base = self.base(offsets, data.long(base_at)?);
        Some((offsets, base))
    }

    /// Whether each symbol is numbered once.
    fn are_numbers(&self, start: usize) -> bool {
        let count = self.names.count;
        let Some(numbers) = self
            .data
            .bytes
            .get(start..)
            .and_then(|rest| rest.get(..3 * count))
        else {
            return false;
        };
        let mut seen = vec![false; count];
        numbers.chunks_exact(3).all(|number| {
            let index = number
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            seen.get_mut(index)
                .is_some_and(|seen| !std::mem::replace(seen, true))
        })
    }

    /// What offsets are relative to: nearly all of a kernel's symbols are of one kind.
    fn base(&self, offsets: usize, base: u64) -> Base {
        let all = (0..self.names.count).filter_map(|index| self.data.word(offsets + 4 * index));
        let below_zero = all.filter(|&offset| (offset as i32) < 0).count();
        if below_zero * 2 > self.names.count {
            Base::BelowZero(base)
        } else {
            Base::Relative(base)
        }
    }

    fn address(&self, offsets: usize, base: &Base, index: usize) -> Option<u64> {
        let place = offsets.checked_add(4 * index)?;
        let offset = self.data.word(place)?;
        let signed = i64::from(offset as i32);
        Some(match base {
            Base::Own => self
                .data
                .address
                .wrapping_add(place as u64)
                .wrapping_add_signed(signed),
            Base::Relative(base) => base.wrapping_add(u64::from(offset)),
            Base::BelowZero(_) if signed >= 0 => u64::from(offset),
            Base::BelowZero(base) => base.wrapping_sub(1).wrapping_sub(signed as u64),
        })
    }

    fn symbols(&self, offsets: usize, base: &Base) -> Option<Kallsyms> {
        let mut symbols = Vec::with_capacity(self.names.count);
        let mut place = self.names.start;
        for index in 0..self.names.count {
            let (bytes, end) = name(&self.data, place)?;
            place = end;
            let mut text = Vec::new();
            for &token in bytes {
                text.extend_from_slice(self.tokens.texts.get(usize::from(token))?);
            }
            text.truncate(NAME_MAX);
            let (&kind, name) = text.split_first()?;
            symbols.push(Symbol {
                address: self.address(offsets, base, index)?,
                kind,
                name: name.to_vec(),
            });
        }
        Some(Kallsyms { symbols })
    }
}

/// The bytes of a name, and where the next one is.
fn name<'a>(data: &Bytes<'a>, place: usize) -> Option<(&'a [u8], usize)> {
    let first = usize::from(*data.bytes.get(place)?);
    let (length, start) = if first & 0x80 == 0 {
        (first, place + 1)
    } else {
        let second = usize::from(*data.bytes.get(place + 1)?);
        (first & 0x7f | second << 7, place + 2)
    };
    let end = start.checked_add(length)?;
    let bytes = data.bytes.get(start..end)?;
    (!bytes.is_empty()).then_some((bytes, end))
}

impl<'a> Tokens<'a> {
    /// The tokens among which are those of digits, which stand at `digits`.
    fn around(data: Bytes<'a>, digits: usize) -> Option<Self> {
        let zero = usize::from(b'0');
        // Backwards, the end of each token before; the first begins somewhere before its end.
        let before = data
            .bytes
            .get(digits.saturating_sub(zero * NAME_MAX)..digits)?;
        let from = digits - before.len();
        let mut ends: Vec<usize> = memchr::memrchr_iter(0, before)
            .take(zero)
            .map(|end| from + end)
            .collect();
        if ends.len() != zero || ends.first() != Some(&digits.checked_sub(1)?) {
            return None;
        }
        ends.reverse();
        let after = data.bytes.get(digits..)?;
        let after = after.get(..after.len().min((TOKENS - zero) * NAME_MAX))?;
        ends.extend(
            memchr::memchr_iter(0, after)
                .take(TOKENS - zero)
                .map(|end| digits + end),
        );
        if ends.len() != TOKENS {
            return None;
        }
        let last = ends.last()? + 1;
        for align in ALIGNMENTS {
            let index = data.align(last, align)?;
            let Some(second) = data.half(index + 2) else {
                continue;
            };
            let Some(start) = (ends.first()? + 1).checked_sub(usize::from(second)) else {
                continue;
            };
            let starts = || std::iter::once(start).chain(ends.iter().map(|end| end + 1));
            let is_index = starts().take(TOKENS).enumerate().all(|(number, place)| {
                let listed = data.half(index + 2 * number);
                listed.map(usize::from) == place.checked_sub(start)
            });
            let is_padded = data.is_padding(last..index);
            if is_index && is_padded && data.align(start, 4) == Some(start) {
                let texts = starts().zip(&ends);
                let texts = texts.map(|(start, &end)| data.bytes.get(start..end));
                return Some(Tokens {
                    start,
                    end: index + 2 * TOKENS,
                    texts: texts.collect::<Option<_>>()?,
                });
            }
        }
        None
    }
}

impl Names {
    /// The names and markers before the tokens, which begin at `end`.
    fn before(data: Bytes<'_>, end: usize) -> Option<Self> {
        // No more than what there is between them if there are most symbols.
        let first = end.saturating_sub(7 * SYMBOLS_MAX);
        let last = data.align_down(end.checked_sub(8)?)?;
        (first..=last)
            .rev()
            .step_by(4)
            .filter(|&place| {
                data.word(place) == Some(0)
                    && data.word(place + 4).is_some_and(|next| is_step(0, next))
            })
            .take(TRIES)
            .find_map(|markers| Self::with_markers(data, markers, end))
    }

    /// Where the markers are those at `start`.
    fn with_markers(data: Bytes<'_>, start: usize, end: usize) -> Option<Self> {
        let mut markers = vec![0];
        for place in (start + 4..end).step_by(4) {
            match data.word(place) {
                Some(next) if is_step(*markers.last()?, next) => markers.push(next),
                // What follows may go on like them; how many there are is found below.
                _ => break,
            }
        }
        let longest = usize::try_from(*markers.last()?).ok()? + STEP * (NAME_MAX + 2) + 8;
        let nearest = start.checked_sub(usize::try_from(*markers.get(1)?).ok()?)?;
        let farthest = start.saturating_sub(longest);
        (farthest..=data.align_down(nearest)?)
            .rev()
            .step_by(4)
            .find_map(|names| {
                [4, 8].into_iter().find_map(|before| {
                    let count_at = names.checked_sub(before)?;
                    if !data.is_padding(count_at + 4..names) {
                        return None;
                    }
                    let count = usize::try_from(data.word(count_at)?).ok()?;
                    let needed = count.div_ceil(STEP);
                    // Of two markers at least: no kernel has so few symbols that there is one.
                    if count >= SYMBOLS_MAX || needed < 2 {
                        return None;
                    }
                    let reach = end_of_names(&data, names, count, markers.get(..needed)?)?;
                    data.is_padding(reach..start).then_some(Names {
                        count_at,
                        count,
                        start: names,
                        end: start + 4 * needed,
                    })
                })
            })
    }
}

/// Whether one marker can follow another one.
fn is_step(one: u32, next: u32) -> bool {
    let most = (STEP * (NAME_MAX + 2)) as u32;
    next.checked_sub(one)
        .is_some_and(|step| (STEP as u32 * 2..=most).contains(&step))
}

/// Where `count` names end that begin at `start`, if they are where the markers say.
fn end_of_names(data: &Bytes<'_>, start: usize, count: usize, markers: &[u32]) -> Option<usize> {
    let mut place = start;
    for index in 0..count {
        if index % STEP == 0 {
            let marker = usize::try_from(*markers.get(index / STEP)?).ok()?;
            if place != start.checked_add(marker)? {
                return None;
            }
        }
        (_, place) = name(data, place)?;
    }
    Some(place)
}
