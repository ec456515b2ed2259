// SPDX-License-Identifier: GPL-2.0

//! Compares a function of the object with what is at a place of the target.
//!
//! This is done in two steps. The bytes come first ([`shape`]): what a relocation has filled in
//! is left aside and only noted. Once it is known where the sections of the object are, the notes
//! are compared as well ([`judge`]): each has to lead to what the relocation names.

use super::changes::Site;
use super::fields::{is_relaxed, Field, Told};
use super::object::{Function, Object};
use super::place::Places;
use super::target::{Destination, Spot, Target};
use klp_diff::view::code;
use klp_diff::view::read::{Place, Relocation, Section, SectionId, SymbolId};
use livepatch_format::elf::Machine;
use livepatch_format::reloc::x86_64;
use object::elf;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the sections of an object are.
pub type Bases = BTreeMap<SectionId, Spot>;

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Bytes of the code.
    Bytes {
        /// As they are in the object.
        expected: Vec<u8>,
        /// As they are in the target.
        found: Vec<u8>,
    },
    /// What an instruction calls or uses.
    Destination {
        /// In the object.
        expected: String,
        /// In the target.
        found: String,
    },
    /// What an instruction uses is named in one of the two only.
    Relocation,
    /// There is no function of that name.
    Missing,
    /// The function is the same, but not where the others of its file say.
    Order,
}

/// How a function differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In bytes from the start of the function.
    pub offset: u64,
    /// What is different there.
    pub what: What,
}

impl Difference {
    /// There is no such function.
    pub fn missing() -> Self {
        Difference {
            offset: 0,
            what: What::Missing,
        }
    }
}

/// What is where a relocation of the object was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// In bytes from the start of the function.
    pub offset: u64,
    /// The symbol that it names in the object.
    pub symbol: SymbolId,
    /// What it adds.
    pub addend: i64,
    /// Whether it counts from where it is.
    pub is_relative: bool,
    /// Where the target has that symbol.
    pub seen: Seen,
}

/// What a target has in place of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Something at this place.
    At(Spot),
    /// A symbol of another object.
    Elsewhere(String),
    /// Nothing that can be told.
    Nothing,
}

/// A function, as it is found at a place.
#[derive(Debug, Default)]
pub struct Shape {
    /// The first byte that differs.
    pub difference: Option<Difference>,
    /// What its relocations lead to.
    pub references: Vec<Reference>,
}

impl Shape {
    fn differs(offset: u64, what: What) -> Self {
        Shape {
            difference: Some(Difference { offset, what }),
            references: Vec::new(),
        }
    }
}

/// How strictly bytes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them.
    Kept,
    /// All but distances to other functions of the section, which differ where a function between
    /// the two does.
    Left,
}

/// Compares the bytes of a function with those at a place.
pub fn shape(
    object: &Object,
    target: &Target<'_>,
    function: &Function,
    at: Spot,
    reach: Reach,
) -> Shape {
    let Some(section) = object.section(function.section) else {
        return Shape::differs(0, What::Missing);
    };
    let end = function.start.saturating_add(function.size);
    let expected = section.bytes(function.start, end);
    let Some(found) = target
        .bytes(at, function.size)
        .filter(|_| expected.len() as u64 == function.size)
    else {
        return Shape::differs(0, What::Missing);
    };
    let mut mask = Mask::new(expected.len());
    let changed = changed(object, function, found, &mut mask);
    let first = section
        .relocations
        .partition_point(|one| one.offset < function.start);
    let of_function: Vec<_> = section
        .relocations
        .get(first..)
        .unwrap_or_default()
        .iter()
        .take_while(|one| one.offset < end)
        .filter(|one| !changed.iter().any(|range| range.contains(&one.offset)))
        .collect();
    let mut references = Vec::new();
    let difference = match target.is_linked() {
        true => {
            for relocation in of_function {
                let offset = relocation.offset - function.start;
                references.push(linked(
                    object,
                    target,
                    relocation,
                    at.plus(offset),
                    offset,
                    (expected, found),
                    &mut mask,
                ));
            }
            None
        }
        false => relocated(
            object.file.machine,
            &of_function,
            target,
            function,
            at,
            &mut references,
            &mut mask,
        ),
    };
    if reach == Reach::Left {
        for instruction in code::decode(object.file.machine, expected, 0) {
            if let Some(reach) = instruction
                .reach
                .filter(|reach| reach.target >= function.size)
            {
                mask.add(reach.field, reach.width.into());
            }
        }
    }
    let difference = mask.first_difference(expected, found).or(difference);
    Shape {
        difference,
        references,
    }
}

/// The bytes that are not compared.
struct Mask(Vec<bool>);

impl Mask {
    fn new(size: usize) -> Self {
        Mask(vec![false; size])
    }

    fn add(&mut self, start: u64, size: u64) {
        let clamp = |at: u64| usize::try_from(at).map_or(self.0.len(), |at| at.min(self.0.len()));
        let range = clamp(start)..clamp(start.saturating_add(size));
        if let Some(masked) = self.0.get_mut(range) {
            masked.fill(true);
        }
    }

    fn first_difference(&self, expected: &[u8], found: &[u8]) -> Option<Difference> {
        let mut all = self.0.iter().zip(expected.iter().zip(found));
        let offset = all.position(|(masked, (one, other))| !masked && one != other)?;
        let excerpt = |bytes: &[u8]| {
            bytes
                .get(offset..)
                .unwrap_or_default()
                .iter()
                .take(8)
                .copied()
                .collect()
        };
        Some(Difference {
            offset: offset as u64,
            what: What::Bytes {
                expected: excerpt(expected),
                found: excerpt(found),
            },
        })
    }
}

/// Where objtool has changed the function, in bytes from the start of its section.
fn changed(object: &Object, function: &Function, found: &[u8], mask: &mut Mask) -> Vec<Range<u64>> {
    let sites = object
        .sites
        .get(&function.section)
        .map_or(&[][..], Vec::as_slice);
    let first = sites.partition_point(|site| site.offset < function.start);
    let is_changed = |site: &&Site| {
        let offset = usize::try_from(site.offset - function.start).unwrap_or(usize::MAX);
        found
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(site.instead))
    };
    let within = sites.get(first..).unwrap_or_default().iter();
    within
        .take_while(|site| site.offset < function.start.saturating_add(function.size))
        .filter(is_changed)
        .map(|site| {
            let size = site.instead.len() as u64;
            mask.add(site.offset - function.start, size);
            site.offset..site.offset.saturating_add(size)
        })
        .collect()
}

/// What a linked file has where a relocation was, which is at `address` and at `offset` of the
/// function.
fn linked(
    object: &Object,
    target: &Target<'_>,
    relocation: &Relocation,
    place: Spot,
    offset: u64,
    (expected, found): (&[u8], &[u8]),
    mask: &mut Mask,
) -> Reference {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let range = start..start.saturating_add(relocation.width.into());
    mask.add(offset, relocation.width.into());
    let field = Field {
        machine: object.file.machine,
        kind: relocation.kind,
        bytes: found.get(range).unwrap_or_default(),
        address: place.address,
        addend: relocation.addend,
    };
    let relaxed = is_relaxed(field.machine, field.kind, expected, found, start);
    if let Some(range) = &relaxed {
        mask.add(range.start as u64, range.len() as u64);
    }
    let at = |address| {
        Seen::At(Spot {
            section: 0,
            address,
        })
    };
    let seen = match field.told() {
        Told::Value(address) => at(address),
        Told::Entry(address) if relaxed.is_some() => at(address),
        Told::Entry(address) => match pointer(target, field.machine, address) {
            Some(address) => at(address),
            None => Seen::Nothing,
        },
        Told::Nothing => Seen::Nothing,
    };
    Reference {
        offset,
        symbol: relocation.symbol,
        addend: relocation.addend,
        is_relative: code::is_relative(object.file.machine, relocation.kind),
        seen,
    }
}

/// The address that a linked file has somewhere.
fn pointer(target: &Target<'_>, machine: Machine, address: u64) -> Option<u64> {
    let bytes = target.bytes(
        Spot {
            section: 0,
            address,
        },
        8,
    )?;
    let bytes = *bytes.first_chunk()?;
    Some(match machine {
        Machine::X86_64 => u64::from_le_bytes(bytes),
        Machine::S390 => u64::from_be_bytes(bytes),
    })
}

/// Compares the relocations of a function with those that a module has of it.
fn relocated(
    machine: Machine,
    expected: &[&Relocation],
    target: &Target<'_>,
    function: &Function,
    at: Spot,
    references: &mut Vec<Reference>,
    mask: &mut Mask,
) -> Option<Difference> {
    let found = target.relocations(at, function.size);
    for one in &found {
        mask.add(
            one.bytes.start,
            one.bytes.end.saturating_sub(one.bytes.start),
        );
    }
    let mut rest = found.into_iter().peekable();
    for relocation in expected {
        let offset = relocation.offset - function.start;
        mask.add(offset, relocation.width.into());
        let same =
            rest.next_if(|one| one.offset == offset && is_same_kind(one.kind, relocation.kind));
        let Some(same) = same else {
            let offset = rest.peek().map_or(offset, |one| one.offset.min(offset));
            return Some(Difference {
                offset,
                what: What::Relocation,
            });
        };
        references.push(Reference {
            offset,
            symbol: relocation.symbol,
            addend: relocation.addend,
            is_relative: code::is_relative(machine, relocation.kind),
            seen: match same.destination {
                Destination::Here(spot) => Seen::At(spot.minus(relocation.addend as u64)),
                Destination::Elsewhere(name, addend) if addend == relocation.addend => {
                    Seen::Elsewhere(name)
                }
                Destination::Elsewhere(name, addend) => Seen::Elsewhere(format!(
                    "{name}{:+#x}",
                    addend.wrapping_sub(relocation.addend)
                )),
            },
        });
    }
    rest.next().map(|one| Difference {
        offset: one.offset,
        what: What::Relocation,
    })
}

/// Tools that write an object anew may change calls from one to the other.
fn is_same_kind(one: u32, other: u32) -> bool {
    const CALLS: [u32; 2] = [x86_64::PC32, x86_64::PLT32];
    // On s390x these are numbers of types that code does not have.
    one == other || CALLS.contains(&one) && CALLS.contains(&other)
}

/// Whether something leads to what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Right,
    /// That cannot be known.
    Unknown,
    /// It does not.
    Wrong(What),
}

/// Compares what a relocation leads to with what it names.
pub fn judge(
    object: &Object,
    target: &Target<'_>,
    places: &Places,
    reference: &Reference,
) -> Verdict {
    let Some(symbol) = object.file.symbols.get(reference.symbol.0) else {
        return Verdict::Unknown;
    };
    let wrong = |found: String| {
        let expected = match symbol.kind {
            elf::STT_SECTION => format!("{}{:+#x}", symbol.name, reference.addend),
            _ => symbol.name.clone(),
        };
        Verdict::Wrong(What::Destination { expected, found })
    };
    let spot = match &reference.seen {
        Seen::Nothing => return Verdict::Unknown,
        Seen::Elsewhere(name) if *name == symbol.name && !symbol.is_local() => {
            return Verdict::Right
        }
        Seen::Elsewhere(name) => return wrong(name.clone()),
        Seen::At(spot) => *spot,
    };
    let is_named = || target.named(&symbol.name).contains(&spot);
    match symbol.place {
        Place::Absolute => Verdict::Unknown,
        Place::Undefined if symbol.name.is_empty() => Verdict::Unknown,
        Place::Undefined => {
            let is_none = symbol.binding == elf::STB_WEAK && spot.address == 0;
            match &target.named(&symbol.name)[..] {
                _ if is_none => Verdict::Right,
                [] => Verdict::Unknown,
                all if all.contains(&spot) => Verdict::Right,
                _ if target.may_hide(&symbol.name) => Verdict::Unknown,
                _ => wrong(target.describe(spot)),
            }
        }
        Place::Section(section) if object.is_merged(section) => {
            match is_same_constant(object, target, section, reference, spot) {
                Some(true) => Verdict::Right,
                Some(false) => wrong(target.describe(spot)),
                None => Verdict::Unknown,
            }
        }
        Place::Section(section) => match places.bases.get(&section) {
            Some(base) if base.plus(symbol.value) == spot => Verdict::Right,
            // Another file may have one that counts more.
            _ if !symbol.is_local() && is_named() => Verdict::Right,
            None if !places.nowhere.contains(&section) => Verdict::Unknown,
            _ => wrong(target.describe(spot)),
        },
    }
}

/// Whether a constant that the linker merges with the same of other files is the same; `None`
/// where it cannot be told what is meant.
fn is_same_constant(
    object: &Object,
    target: &Target<'_>,
    section: SectionId,
    reference: &Reference,
    spot: Spot,
) -> Option<bool> {
    let symbol = object.file.symbols.get(reference.symbol.0)?;
    let section = object.section(section)?;
    // Of the symbol of a section, only the sum tells; and where that is a distance, not even it.
    let added = match symbol.kind {
        elf::STT_SECTION if reference.is_relative => return None,
        elf::STT_SECTION => reference.addend as u64,
        _ => 0,
    };
    let all = section.bytes(symbol.value.wrapping_add(added), section.size);
    let expected = constant(section, all);
    let found = target.from(spot.plus(added)).unwrap_or_default();
    Some(expected.is_some_and(|expected| found.starts_with(expected)))
}

/// What of a section that is merged belongs together, from the start of `bytes`.
fn constant<'a>(section: &Section, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let size = usize::try_from(section.entsize).ok()?.max(1);
    if !section.flags.contains(elf::SHF_STRINGS) {
        return bytes.get(..size);
    }
    let mut units = bytes.chunks_exact(size);
    let last = units.position(|unit| unit.iter().all(|&byte| byte == 0))?;
    bytes.get(..last.checked_add(1)?.checked_mul(size)?)
}
