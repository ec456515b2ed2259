// SPDX-License-Identifier: GPL-2.0

//! Reads the result back the way livepatch.ko reads it, and compares it with what went in.
//!
//! This shares no code with what wrote the file, but the reader that the kernel side uses.

use super::conversion::Resolved;
use anyhow::{ensure, Context, Result};
use livepatch_format::check;
use livepatch_format::elf::{
    Image, Machine, Relocation, RelocationTable, Section, SectionIndex, StringTable, SymbolTable,
    RELA_SIZE, SHF_ALLOC, SHF_INFO_LINK, SHF_RELA_LIVEPATCH, SHN_LORESERVE, SHT_RELA, SHT_STRTAB,
    SHT_SYMTAB, SYM_SIZE,
};
use livepatch_format::modinfo::{self, LIVEPATCH};
use livepatch_format::name::{Dialect, SectionName, SymbolName, Text};
use livepatch_format::reloc;
use std::collections::{BTreeMap, BTreeSet};

/// Sections that are edited on purpose, besides symbols and relocations.
const EDITED: [&[u8]; 4] = [
    modinfo::SECTION,
    b"__versions",
    b"__version_ext_crcs",
    b"__version_ext_names",
];

/// What `st_other` says in both dialects.
const VISIBILITY: u8 = 3;

/// Checks that `output` is what `input` has to become.
pub(super) fn verify(
    input: &[u8],
    output: &[u8],
    resolved: &Resolved,
    dialect: Dialect,
) -> Result<()> {
    let before = File::read(input).context("the input")?;
    let after = File::read(output).context("the output")?;
    let info = after.find(modinfo::SECTION)?;
    ensure!(
        modinfo::value(info, LIVEPATCH).is_some(),
        "the output has no livepatch="
    );
    ensure!(before.machine == after.machine, "the machine changed");
    let moved = sections(&before, &after)?;
    symbols(&before, &after, resolved, dialect, &moved)?;
    relocations(&before, &after, resolved, &moved)?;
    contents(&before, &after, &moved)?;
    livepatch_sections(&after, dialect)
}

/// A file, taken apart.
struct File<'a> {
    image: Image<'a>,
    machine: Machine,
    symtab: SectionIndex,
    symbols: SymbolTable<'a>,
    strings: StringTable<'a>,
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let image = Image::parse(bytes)?;
        let (symbols, strings) = image.symbols()?;
        let is_symtab = |section: &Section| section.sh_type == SHT_SYMTAB;
        let symtab = image
            .sections
            .iter()
            .find(|(_, section)| is_symtab(section));
        let (symtab, section) = symtab.context("no symbol table")?;
        let size = u64::from(symbols.len()) * SYM_SIZE as u64;
        ensure!(section.sh_size == size, "the symbol table is cut off");
        Ok(File {
            machine: image.header.machine()?,
            image,
            symtab,
            symbols,
            strings,
        })
    }

    fn find(&self, name: &[u8]) -> Result<&'a [u8]> {
        let section = self.image.find(name);
        let (_, section) = section.with_context(|| format!("no section {}", Text(name)))?;
        Ok(self.image.data(&section)?)
    }

    /// All sections of relocations.
    fn relocating(&self) -> impl Iterator<Item = Section> + 'a {
        let sections = self.image.sections.iter().map(|(_, section)| section);
        sections.filter(|section| section.sh_type == SHT_RELA)
    }

    /// All livepatch sections.
    fn livepatch(&self) -> impl Iterator<Item = Section> + 'a {
        self.relocating().filter(Section::is_livepatch_relocation)
    }

    fn target(&self, section: &Section) -> Result<Section> {
        Ok(self.image.sections.get(SectionIndex(section.sh_info))?)
    }

    fn table(&self, section: &Section) -> Result<RelocationTable<'a>> {
        Ok(RelocationTable::new(
            self.image.data(section)?,
            self.image.header.endian,
        )?)
    }
}

/// The new index of every section that is still there.
type Moved = BTreeMap<u32, u32>;

/// All sections are there in the same order, but such as held relocations; behind them are
/// livepatch sections and nothing else.
fn sections(before: &File<'_>, after: &File<'_>) -> Result<Moved> {
    let mut moved = Moved::from([(0, 0)]);
    let mut rest = after.image.sections.iter().peekable();
    for (index, old) in before.image.sections.iter() {
        let name = before.image.name(&old)?;
        let same = |new: &Section| {
            after.image.name(new) == Ok(name)
                && (old.sh_type, old.sh_flags, old.sh_entsize)
                    == (new.sh_type, new.sh_flags, new.sh_entsize)
        };
        match rest.next_if(|(_, new)| same(new)) {
            Some((new, _)) => {
                moved.insert(index.0, new.0);
            }
            None => {
                let shown = Text(name);
                ensure!(
                    old.sh_type == SHT_RELA,
                    "section {shown} is missing or changed"
                );
            }
        }
    }
    for (_, new) in rest {
        let name = after.image.name(&new)?;
        let expected = SHF_ALLOC | SHF_INFO_LINK | SHF_RELA_LIVEPATCH;
        let right = new.sh_type == SHT_RELA
            && new.sh_flags == expected
            && new.sh_entsize == RELA_SIZE as u64;
        ensure!(
            right,
            "section {} is not as a livepatch section has to be",
            Text(name)
        );
    }
    for (index, old) in before.image.sections.iter() {
        let Some(new) = moved.get(&index.0) else {
            continue;
        };
        let new = after.image.sections.get(SectionIndex(*new))?;
        let links = |old: u32| moved.get(&old).copied();
        ensure!(
            links(old.sh_link) == Some(new.sh_link),
            "section {}: sh_link",
            index.0
        );
        let info = match old.sh_type == SHT_RELA || old.sh_flags & SHF_INFO_LINK != 0 {
            true => links(old.sh_info),
            false => Some(old.sh_info),
        };
        ensure!(info == Some(new.sh_info), "section {}: sh_info", index.0);
    }
    Ok(moved)
}

/// Symbols keep their indices; those that are resolved have their new names, and the others are
/// as they were.
fn symbols(
    before: &File<'_>,
    after: &File<'_>,
    resolved: &Resolved,
    dialect: Dialect,
    moved: &Moved,
) -> Result<()> {
    ensure!(
        before.symbols.len() == after.symbols.len(),
        "the number of symbols changed"
    );
    for ((index, old), (_, new)) in before.symbols.iter().zip(after.symbols.iter()) {
        let name = after.strings.get(new.st_name)?;
        let same = (old.st_info, old.st_value, old.st_size)
            == (new.st_info, new.st_value, new.st_size)
            && old.st_other & VISIBILITY == new.st_other & VISIBILITY;
        ensure!(same, "symbol {} {} changed", index.0, Text(name));
        if let Some(reference) = resolved.get(&index) {
            let parsed = SymbolName::parse(name, &new)?;
            let meant = new.is_livepatch()
                && parsed.dialect == dialect
                && parsed.object.as_str() == reference.object.as_str()
                && parsed.symbol == reference.symbol
                && parsed.position == reference.position
                && (dialect == Dialect::Draft || old.st_other == new.st_other);
            ensure!(meant, "{} does not stand for {reference}", Text(name));
        } else {
            let place = match old.st_shndx {
                reserved if reserved >= SHN_LORESERVE => Some(u32::from(reserved)),
                section => moved.get(&section.into()).copied(),
            };
            let same = before.strings.get(old.st_name)? == name
                && old.st_other == new.st_other
                && place == Some(new.st_shndx.into());
            ensure!(same, "symbol {} {} changed", index.0, Text(name));
        }
    }
    Ok(())
}

/// Relocations by the section that they change and the object of their livepatch section, none
/// for ordinary ones; both as they are after the conversion.
type Relocations = BTreeMap<(u32, String), Vec<Relocation>>;

/// Every relocation is still there: those of livepatch symbols in livepatch sections, in their
/// order, and all others where they were.
fn relocations(
    before: &File<'_>,
    after: &File<'_>,
    resolved: &Resolved,
    moved: &Moved,
) -> Result<()> {
    let mut expected = Relocations::new();
    for section in before.relocating() {
        let in_memory = before.target(&section)?.sh_flags & SHF_ALLOC != 0;
        let target = *moved
            .get(&section.sh_info)
            .context("a relocated section is missing")?;
        for (_, rela) in before.table(&section)?.iter() {
            let object = match resolved.get(&rela.symbol) {
                Some(reference) if in_memory => reference.object.as_str(),
                Some(_) => continue,
                None => "",
            };
            expected
                .entry((target, object.to_owned()))
                .or_default()
                .push(rela);
        }
    }
    let mut found = Relocations::new();
    for section in after.relocating() {
        let object = match section.is_livepatch_relocation() {
            true => SectionName::parse(after.image.name(&section)?)?
                .object
                .as_str(),
            false => "",
        };
        let all = after.table(&section)?;
        let key = (section.sh_info, object.to_owned());
        found
            .entry(key)
            .or_default()
            .extend(all.iter().map(|(_, rela)| rela));
    }
    found.retain(|_, relocations| !relocations.is_empty());
    ensure!(expected == found, "relocations got lost or changed");
    Ok(())
}

/// The bytes of every section are those that they were; only where livepatch is to write on
/// x86_64, they are zero.
fn contents(before: &File<'_>, after: &File<'_>, moved: &Moved) -> Result<()> {
    let mut zeroed = BTreeSet::new();
    for section in after
        .livepatch()
        .filter(|_| after.machine == Machine::X86_64)
    {
        for (_, rela) in after.table(&section)?.iter() {
            let width = reloc::width(after.machine, rela.r_type).unwrap_or(0);
            let bytes = (0..u64::from(width)).map(|byte| rela.r_offset.saturating_add(byte));
            zeroed.extend(bytes.map(|offset| (section.sh_info, offset)));
        }
    }
    for (old, new) in moved.iter().filter(|(old, _)| **old != 0) {
        let index = *new;
        let old = before.image.sections.get(SectionIndex(*old))?;
        let new = after.image.sections.get(SectionIndex(index))?;
        let name = before.image.name(&old)?;
        if matches!(old.sh_type, SHT_SYMTAB | SHT_STRTAB | SHT_RELA | SHT_GROUP)
            || EDITED.contains(&name)
        {
            continue;
        }
        ensure!(
            old.sh_size == new.sh_size,
            "section {}: the size changed",
            Text(name)
        );
        let bytes = before.image.data(&old)?.iter().zip(after.image.data(&new)?);
        for (offset, (old, new)) in (0u64..).zip(bytes) {
            let is_zeroed = zeroed.contains(&(index, offset));
            ensure!(
                if is_zeroed { *new == 0 } else { old == new },
                "section {}: the byte at {offset:#x} changed",
                Text(name)
            );
        }
    }
    Ok(())
}

/// What livepatch.ko will check when it loads the module.
fn livepatch_sections(file: &File<'_>, dialect: Dialect) -> Result<()> {
    for section in file.livepatch() {
        let name = file.image.name(&section)?;
        let parsed = SectionName::parse(name)?;
        ensure!(parsed.dialect == dialect, "{}: wrong dialect", Text(name));
        let target = file.target(&section)?;
        let target_name = file.image.name(&target)?;
        let meant = target_name.strip_prefix(b".").unwrap_or(target_name) == parsed.target;
        ensure!(meant, "{}: the target is {}", Text(name), Text(target_name));
        check::section(&section, &target, file.symtab)?;
        let (machine, table) = (file.machine, file.table(&section)?);
        check::relocations(
            machine,
            &table,
            &file.symbols,
            target.sh_size,
            |_, _, symbol| {
                let symbol = SymbolName::parse(file.strings.get(symbol.st_name)?, symbol)?;
                ensure!(
                    symbol.object == parsed.object,
                    "{}: another object's symbol",
                    Text(name)
                );
                anyhow::Ok(())
            },
        )?;
    }
    Ok(())
}

/// Section indices stand in it.
const SHT_GROUP: u32 = 17;
