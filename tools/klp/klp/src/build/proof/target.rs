// SPDX-License-Identifier: GPL-2.0

//! The kernel or module that an object is a part of, as its file has it.

use crate::file::module::{Module, Place};
use crate::knowledge::Known;
use crate::symbols::{Candidate, ObjectSymbols};
use anyhow::{Context, Result};
use livepatch_format::elf::{Machine, Relocation, SectionIndex};
use livepatch_format::reloc;
use livepatch_kernel::Memory;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where something is: in a kernel at an address, in a module in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The section of a module's file; 0 in a kernel.
    pub section: u32,
    /// The address; in a module the offset in the section.
    pub address: u64,
}

impl Spot {
    /// The spot `distance` bytes further on.
    pub fn plus(self, distance: u64) -> Self {
        Spot {
            address: self.address.wrapping_add(distance),
            ..self
        }
    }

    /// The spot `distance` bytes before.
    pub fn minus(self, distance: u64) -> Self {
        self.plus(distance.wrapping_neg())
    }
}

/// What a relocation of a module leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A place in the module.
    Here(Spot),
    /// A symbol of others, and what is added to its value.
    Elsewhere(String, i64),
}

/// A kernel or module.
pub struct Target<'a> {
    kind: Kind<'a>,
}

enum Kind<'a> {
    Kernel {
        symbols: &'a ObjectSymbols,
        memory: Option<&'a Memory>,
    },
    Module(Box<Relocatable<'a>>),
}

struct Relocatable<'a> {
    module: Module<'a>,
    names: BTreeMap<&'a [u8], Vec<Spot>>,
    /// By section, ordered by offset.
    relocations: BTreeMap<SectionIndex, Vec<Relocation>>,
}

impl<'a> Target<'a> {
    /// What is known of an object.
    ///
    /// # Errors
    ///
    /// Nothing but the symbols of a module is known, or its file is none that the kernel could
    /// load.
    pub fn of(known: &'a Known) -> Result<Self> {
        if known.symbols.object.is_vmlinux() {
            return Ok(Target::of_kernel(&known.symbols, known.memory()));
        }
        let file = known
            .module()
            .with_context(|| format!("the file of module {} is not known", known.symbols.object))?;
        Target::of_module(file)
    }

    /// A kernel: the symbols by which it finds its functions, and its memory. Of a list of symbols
    /// there is none, and nothing can be proven.
    pub fn of_kernel(symbols: &'a ObjectSymbols, memory: Option<&'a Memory>) -> Self {
        Target {
            kind: Kind::Kernel { symbols, memory },
        }
    }

    /// A module: the bytes of its file, which is not compressed.
    ///
    /// # Errors
    ///
    /// It is none that the kernel could load.
    pub fn of_module(file: &'a [u8]) -> Result<Self> {
        let module = Module::parse(file).context("no usable kernel module")?;
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, symbol) in module.symbols().iter() {
            let name = module.symbol_name(&symbol);
            if let (Some(place), false) = (module.place(&symbol), name.is_empty()) {
                names.entry(name).or_default().push(spot(place));
            }
        }
        let mut relocations: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, _, table) in module.ordinary_relocations() {
            // What objtool takes out stays as a relocation without effect.
            let all = table
                .iter()
                .map(|(_, rela)| rela)
                .filter(|rela| rela.r_type != 0);
            relocations.entry(index).or_default().extend(all);
        }
        for all in relocations.values_mut() {
            all.sort_by_key(|rela| rela.r_offset);
        }
        Ok(Target {
            kind: Kind::Module(Box::new(Relocatable {
                module,
                names,
                relocations,
            })),
        })
    }

    /// Whose code it is, where that is known.
    pub fn machine(&self) -> Option<Machine> {
        match &self.kind {
            Kind::Kernel { memory, .. } => memory.map(|memory| memory.machine),
            Kind::Module(module) => Some(module.module.machine),
        }
    }

    /// Whether its bytes are known.
    pub fn has_bytes(&self) -> bool {
        !matches!(self.kind, Kind::Kernel { memory: None, .. })
    }

    /// Whether it is linked, so that what is in its code leads somewhere already.
    pub fn is_linked(&self) -> bool {
        matches!(self.kind, Kind::Kernel { .. })
    }

    /// Where the symbols of a name are.
    pub fn named(&self, name: &str) -> Vec<Spot> {
        match &self.kind {
            Kind::Kernel { symbols, .. } => {
                let all = symbols.get(name.as_bytes()).iter();
                all.map(|candidate| Spot {
                    section: 0,
                    address: candidate.address,
                })
                .collect()
            }
            Kind::Module(module) => {
                let all = module.names.get(name.as_bytes());
                all.cloned().unwrap_or_default()
            }
        }
    }

    /// Whether its list of symbols has variables: that of a kernel without `CONFIG_KALLSYMS_ALL`
    /// has none.
    pub fn lists_variables(&self) -> bool {
        match &self.kind {
            Kind::Kernel { symbols, .. } => !symbols.functions_only,
            Kind::Module(_) => true,
        }
    }

    /// Whether the target may have a symbol of that name that other files see, and not list it.
    pub fn may_hide(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Kernel { symbols, .. } if !self.lists_variables() => {
                let mut listed = symbols.get(name.as_bytes()).iter();
                !listed.any(|one| one.global)
            }
            _ => false,
        }
    }

    /// `size` bytes; `None` where the file does not have all of them.
    pub fn bytes(&self, at: Spot, size: u64) -> Option<&[u8]> {
        match &self.kind {
            Kind::Kernel { memory, .. } => (*memory)?.bytes(at.address, size),
            Kind::Module(module) => {
                let end = at.address.checked_add(size)?;
                let range = usize::try_from(at.address).ok()?..usize::try_from(end).ok()?;
                module.contents(at.section)?.get(range)
            }
        }
    }

    /// What is there, up to the end of the section or segment.
    pub fn from(&self, at: Spot) -> Option<&[u8]> {
        match &self.kind {
            Kind::Kernel { memory, .. } => (*memory)?.from(at.address),
            Kind::Module(module) => {
                let start = usize::try_from(at.address).ok()?;
                module.contents(at.section)?.get(start..)
            }
        }
    }

    /// The relocations of a module that write into a range: where, of which type and how wide, and
    /// what they lead to.
    pub fn relocations(&self, at: Spot, size: u64) -> Vec<Found> {
        let Kind::Module(module) = &self.kind else {
            return Vec::new();
        };
        let Some(all) = module.relocations.get(&SectionIndex(at.section)) else {
            return Vec::new();
        };
        let first = all.partition_point(|rela| rela.r_offset < at.address);
        let within = all.get(first..).unwrap_or_default().iter();
        within
            .take_while(|rela| rela.r_offset < at.address.saturating_add(size))
            .map(|rela| module.found(rela, at))
            .collect()
    }

    /// The section of a symbol of a module, as [`Candidate::section`] has it.
    pub fn section_name(&self, section: u32) -> Option<String> {
        match &self.kind {
            Kind::Kernel { .. } => None,
            Kind::Module(module) => {
                let name = module.module.section_name(SectionIndex(section));
                Some(name.escape_ascii().to_string())
            }
        }
    }

    /// What is at a place, for people: the name of what begins there or before it.
    pub fn describe(&self, at: Spot) -> String {
        let nearest = match &self.kind {
            Kind::Kernel { symbols, .. } => {
                let all = symbols.names().flat_map(|name| {
                    let all = symbols.get(name).iter();
                    all.map(move |candidate: &Candidate| (candidate.address, name))
                });
                all.filter(|(address, _)| *address <= at.address).max()
            }
            Kind::Module(module) => {
                let all = module.names.iter().flat_map(|(name, spots)| {
                    let here = spots.iter().filter(|spot| spot.section == at.section);
                    here.map(move |spot| (spot.address, *name))
                });
                all.filter(|(address, _)| *address <= at.address).max()
            }
        };
        match nearest {
            Some((address, name)) if address == at.address => name.escape_ascii().to_string(),
            // Farther away, a name says nothing.
            Some((address, name)) if at.address - address < 1 << 20 => {
                format!("{}+{:#x}", name.escape_ascii(), at.address - address)
            }
            _ => format!("{:#x}", at.address),
        }
    }
}

/// A relocation of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In bytes from the start of the range that was asked for.
    pub offset: u64,
    /// The machine's number for its type.
    pub kind: u32,
    /// The bytes that it writes, in that range.
    pub bytes: Range<u64>,
    /// What it leads to, with all that is added.
    pub destination: Destination,
}

impl<'a> Relocatable<'a> {
    fn contents(&self, section: u32) -> Option<&'a [u8]> {
        let sections = &self.module.image().sections;
        let section = sections.get(SectionIndex(section)).ok()?;
        Some(self.module.data(&section))
    }

    fn found(&self, rela: &Relocation, at: Spot) -> Found {
        let offset = rela.r_offset.wrapping_sub(at.address);
        let width = reloc::width(self.module.machine, rela.r_type).unwrap_or(0);
        let symbol = self.module.symbols().get(rela.symbol).ok();
        let destination = match symbol.as_ref().and_then(|symbol| self.module.place(symbol)) {
            Some(place) => Destination::Here(spot(place).plus(rela.r_addend as u64)),
            None => {
                let name = symbol.map_or(&[][..], |symbol| self.module.symbol_name(&symbol));
                Destination::Elsewhere(name.escape_ascii().to_string(), rela.r_addend)
            }
        };
        Found {
            offset,
            kind: rela.r_type,
            bytes: offset..offset.saturating_add(width.into()),
            destination,
        }
    }
}

fn spot(place: Place) -> Spot {
    Spot {
        section: place.section.0,
        address: place.offset,
    }
}
