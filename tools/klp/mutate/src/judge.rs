// SPDX-License-Identifier: GPL-2.0

//! What has to become of a damaged file.
//!
//! The kernel's own module loader checks a part of a file (`elf_validity_*()` in
//! `kernel/module/main.c` of the kernel source) and trusts the rest: what it relocates itself,
//! code, data, tables of the kernel's, the size and alignment of what it lays out. A file that
//! is damaged there harms a kernel without livepatch as well, so that it says nothing about
//! livepatch.ko: it is [`Verdict::Unsafe`]. So is one that nobody can know to be damaged, as its
//! livepatch relocations are well-formed but others than they were: its code would be run.

use crate::file::{ehdr, shdr, shf, shn, sht, File, Relocation, Section, EHDR, RELA, SHDR, SYM};
use crate::first;
use std::collections::{BTreeMap, BTreeSet};

/// What has to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not to be tried, and why.
    Unsafe(&'static str),
    /// It must not be loaded, and why.
    Refused(&'static str),
    /// The same, and livepatch.ko has to find it: the kernel's own loader would not survive it.
    RefusedFirst(&'static str),
    /// It may be loaded: then it does what the undamaged file does.
    Same,
}

use Verdict::{Refused, RefusedFirst, Same, Unsafe};

/// An undamaged livepatch.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its bytes.
    pub file: File,
    /// `e_machine`
    pub machine: u16,
    /// The indices of its livepatch relocation sections.
    pub klp: Vec<usize>,
    /// The index of its symbol table.
    pub symtab: usize,
    /// The index of the names of its symbols.
    pub strtab: usize,
    /// The index of the names of its sections.
    pub shstrtab: usize,
    /// The index of its `.modinfo`.
    pub modinfo: usize,
    /// The indices of its livepatch symbols.
    pub symbols: Vec<usize>,
    /// What the kernel calls the module.
    pub name: String,
    /// The symbols that the kernel itself relocates with.
    ordinary: BTreeSet<usize>,
    /// What livepatch has to do.
    effect: Effect,
}

/// `EM_X86_64`
pub const X86_64: u16 = 62;
/// `EM_S390`
pub const S390: u16 = 22;

/// What livepatch relocations do: for each object, what is written where.
type Effect = Vec<(Vec<u8>, usize, Relocation, Vec<u8>)>;

impl Base {
    /// Reads a livepatch. `None` where it is not one, or is damaged.
    pub fn new(data: Vec<u8>) -> Option<Base> {
        let file = File::new(data.clone(), data.get(5) == Some(&2));
        let machine = file.get(0, ehdr::MACHINE)? as u16;
        if data.get(..4)? != b"\x7fELF" || !matches!(machine, X86_64 | S390) {
            return None;
        }
        let sections = file.sections();
        let named = |name: &[u8]| {
            sections
                .iter()
                .position(|section| file.section_name(section) == Some(name))
        };
        let symtab = sections
            .iter()
            .position(|section| section.sh_type == sht::SYMTAB)?;
        let table = *sections.get(symtab)?;
        let indices = |wanted: &dyn Fn(&Section) -> bool| -> Vec<usize> {
            (0..sections.len())
                .filter(|&index| sections.get(index).is_some_and(wanted))
                .collect()
        };
        let klp = indices(&|section| section.flags & shf::LIVEPATCH != 0);
        let ordinary = sections
            .iter()
            .filter(|section| section.sh_type == sht::RELA && section.flags & shf::LIVEPATCH == 0)
            .flat_map(|section| file.relocations(section))
            .map(|rela| rela.symbol as usize)
            .collect();
        let symbols = (0..file.entries(&table, SYM))
            .filter(|&index| {
                let symbol = file.symbol(&table, index);
                symbol.is_some_and(|symbol| symbol.shndx == shn::LIVEPATCH)
            })
            .collect();
        let modinfo = named(b".modinfo")?;
        let info = file.contents(sections.get(modinfo)?)?;
        let name = String::from_utf8(value(info, b"name")?.to_vec()).ok()?;
        let mut base = Base {
            machine,
            name,
            klp,
            symtab,
            strtab: table.link as usize,
            shstrtab: file.get(0, ehdr::SHSTRNDX)? as usize,
            modinfo,
            symbols,
            ordinary,
            effect: Vec::new(),
            file,
        };
        let whole = Reading::new(&base, base.file.clone()).ok()?;
        base.effect = whole.effect().ok()?;
        (!base.klp.is_empty()).then_some(base)
    }

    fn is_special(&self, index: usize) -> bool {
        [self.symtab, self.strtab, self.shstrtab, self.modinfo].contains(&index)
            || self.klp.contains(&index)
    }
}

/// What has to become of `data`, which was made of `base`.
pub fn judge(base: &Base, data: &[u8]) -> Verdict {
    let file = File::new(data.to_vec(), base.file.is_big());
    if let Some(why) = first::refused(base.machine, &file) {
        return RefusedFirst(why);
    }
    let reading = match Reading::new(base, file) {
        Ok(reading) => reading,
        Err(verdict) => return verdict,
    };
    match reading.trusted().and_then(|()| reading.effect()) {
        Ok(effect) if effect == base.effect => Same,
        Ok(_) => Unsafe("livepatch relocations that are well-formed, but others"),
        Err(verdict) => verdict,
    }
}

/// A file that the kernel's first checks let pass.
struct Reading<'a> {
    base: &'a Base,
    file: File,
    sections: Vec<Section>,
    symtab: usize,
    marked: bool,
}

/// The key `livepatch` as livepatch.ko writes it in the loader's copy of a file.
pub(crate) const ADMITTED: &[u8] = b"\x01ivepatch";

/// Whether livepatch.ko takes a module with this information for a livepatch.
pub(crate) fn is_marked(info: &[u8]) -> bool {
    value(info, b"livepatch").is_some() || value(info, ADMITTED).is_some()
}

/// The words of a version magic, the first of which is the kernel's release.
fn words(magic: &[u8]) -> impl Iterator<Item = &[u8]> {
    magic.split(|&byte| byte == b' ')
}

/// The kernel's own way of reading the module information: the first of a key.
pub(crate) fn value<'a>(info: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    info.split(|&byte| byte == 0).find_map(|entry| {
        let rest = entry.strip_prefix(key)?;
        rest.strip_prefix(b"=")
    })
}

impl<'a> Reading<'a> {
    /// The checks that come first, in the kernel's order.
    fn new(base: &'a Base, file: File) -> Result<Self, Verdict> {
        let length = file.data.len();
        let field = |field| file.get(0, field).unwrap_or(0);
        if length < EHDR || file.data.get(..4) != Some(b"\x7fELF".as_slice()) {
            return Err(Refused("no ELF header"));
        }
        if field(ehdr::TYPE) != 1 || field(ehdr::MACHINE) != u64::from(base.machine) {
            return Err(Refused("type or machine"));
        }
        let (start, count) = file.table();
        let fits = start
            .checked_add(count * SHDR)
            .is_some_and(|end| end <= length);
        if field(ehdr::SHENTSIZE) != SHDR as u64 || start >= length || !fits {
            return Err(Refused("the section header table"));
        }
        let sections = file.sections();
        let Some(first) = sections.first() else {
            return Err(Refused("no sections"));
        };
        if first.sh_type != sht::NULL || first.size != 0 || file.get(start, shdr::ADDR) != Some(0) {
            return Err(Refused("section 0 is not empty"));
        }
        if sections.iter().skip(1).any(|section| {
            !matches!(section.sh_type, sht::NULL | sht::NOBITS) && file.contents(section).is_none()
        }) {
            return Err(Refused("a section outside of the file"));
        }
        let names = field(ehdr::SHSTRNDX) as usize;
        let names = match sections.get(names) {
            Some(section) if names != 0 && section.sh_type == sht::STRTAB => *section,
            _ => return Err(Refused("the table of section names")),
        };
        if file.contents(&names).and_then(<[u8]>::last) != Some(&0) {
            return Err(Refused("section names without an end"));
        }
        for section in &sections {
            match (section.sh_type, u64::from(section.name) >= names.size) {
                (sht::NULL, true) => return Err(Unsafe("the name of an empty section")),
                (_, true) => return Err(Refused("a section name outside of its table")),
                _ => (),
            }
        }

        let mut reading = Reading {
            base,
            file,
            sections,
            symtab: 0,
            marked: false,
        };
        let modinfo = reading.unique(b".modinfo")?;
        let this_module = reading
            .unique(b".gnu.linkonce.this_module")?
            .ok_or(Refused("no record of the module"))?;
        let info = match modinfo {
            Some(index) => reading.modinfo(index)?,
            None if first_offset(&reading) != first_offset_of(base) => {
                return Err(Unsafe("the offset of section 0"))
            }
            None => Vec::new(),
        };
        let same = |index: usize| reading.section_is_as_it_was(index);
        if !same(this_module) {
            let section = reading.section(this_module);
            let refused = section.sh_type == sht::NOBITS || section.flags & shf::ALLOC == 0;
            return Err(match refused {
                true => Refused("the record of the module"),
                false => Unsafe("the record of the module"),
            });
        }
        let is_symtab = |section: &Section| section.sh_type == sht::SYMTAB;
        let symtabs = reading.sections.iter().skip(1).filter(|s| is_symtab(s));
        if symtabs.count() != 1 {
            return Err(Refused("not one symbol table"));
        }
        reading.symtab = reading.sections.iter().position(is_symtab).unwrap_or(0);
        if reading.symtab != base.symtab {
            return Err(Unsafe("another symbol table"));
        }
        reading.strings()?;
        let Some(magic) = value(&info, b"vermagic") else {
            // With CONFIG_MODULE_FORCE_LOAD it is loaded, and the kernel stops looking for wrong
            // locking.
            return Err(Unsafe("no version magic"));
        };
        let base_info = reading.base_info();
        let base_magic = value(base_info, b"vermagic").unwrap_or_default();
        // The release, which comes first, does not count where symbols have versions.
        if !words(magic).skip(1).eq(words(base_magic).skip(1)) {
            return Err(Refused("the version magic"));
        }
        if value(&info, b"license") != value(base_info, b"license") {
            // The kernel stops looking for wrong locking.
            return Err(Unsafe("the license"));
        }
        reading.marked = is_marked(&info);
        Ok(reading)
    }

    fn section(&self, index: usize) -> Section {
        // Indices come from the table itself.
        self.sections.get(index).copied().unwrap_or(Section {
            name: 0,
            sh_type: 0,
            flags: 0,
            offset: 0,
            size: 0,
            link: 0,
            info: 0,
            align: 0,
        })
    }

    fn name(&self, index: usize) -> &[u8] {
        self.file
            .section_name(&self.section(index))
            .unwrap_or_default()
    }

    /// The one section of this name, if there is any.
    fn unique(&self, name: &[u8]) -> Result<Option<usize>, Verdict> {
        let mut found = (1..self.sections.len()).filter(|&index| self.name(index) == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Refused("two sections of a name that must be unique")),
            (found, None) => Ok(found),
        }
    }

    /// The module information, which the kernel reads as strings, without looking at its end.
    fn modinfo(&self, index: usize) -> Result<Vec<u8>, Verdict> {
        let mut section = self.section(index);
        if matches!(section.sh_type, sht::NULL | sht::NOBITS) {
            section.sh_type = sht::PROGBITS;
        }
        let info = self
            .file
            .contents(&section)
            .ok_or(Unsafe("module information outside of the file"))?;
        let end = (section.offset + section.size) as usize;
        let after = self.file.data.get(end..).unwrap_or_default();
        if after.len() < 64 || !after.contains(&0) {
            return Err(Unsafe("module information at the end of the file"));
        }
        if info.last() != Some(&0) {
            // It goes on past its end.
            let rest = after.iter().take_while(|&&byte| byte != 0);
            return Ok(info.iter().chain(rest).copied().collect());
        }
        Ok(info.to_vec())
    }

    fn base_info(&self) -> &'a [u8] {
        let Base { file, modinfo, .. } = self.base;
        let section = file.section(*modinfo);
        let contents = section.and_then(|section| file.contents(&section));
        contents.unwrap_or_default()
    }

    /// The symbol table's strings, which the kernel checks.
    fn strings(&self) -> Result<(), Verdict> {
        let table = self.section(self.symtab);
        let strings = match self.sections.get(table.link as usize) {
            Some(section) if table.link != 0 && section.sh_type == sht::STRTAB => *section,
            _ => return Err(Refused("the table of symbol names")),
        };
        let bytes = self.file.contents(&strings).unwrap_or_default();
        if bytes.first() != Some(&0) || bytes.last() != Some(&0) {
            return Err(Refused("symbol names without an end"));
        }
        let outside = |symbol: crate::file::Symbol| u64::from(symbol.name) >= strings.size;
        if self.symbols().any(|(_, symbol)| outside(symbol)) {
            return Err(Refused("a symbol name outside of its table"));
        }
        if table.link as usize != self.base.strtab {
            return Err(Unsafe("another table of symbol names"));
        }
        Ok(())
    }

    fn symbols(&self) -> impl Iterator<Item = (usize, crate::file::Symbol)> + '_ {
        let table = self.section(self.symtab);
        (0..self.file.entries(&table, SYM))
            .filter_map(move |index| Some((index, self.file.symbol(&table, index)?)))
    }

    fn symbol_name(&self, offset: u32) -> &[u8] {
        let strings = self.section(self.section(self.symtab).link as usize);
        self.file.string(&strings, offset).unwrap_or_default()
    }

    /// Whether a section is what it was in the undamaged file, wherever it lies.
    fn section_is_as_it_was(&self, index: usize) -> bool {
        let (Some(old), new) = (self.base.file.section(index), self.section(index)) else {
            return false;
        };
        let placed = Section {
            name: new.name,
            offset: new.offset,
            ..old
        };
        placed == new
            && self.base.file.section_name(&old) == Some(self.name(index))
            && (old.sh_type == sht::NULL
                || self.base.file.contents(&old) == self.file.contents(&new))
    }

    /// What the kernel trusts has to be as it was.
    fn trusted(&self) -> Result<(), Verdict> {
        let base = self.base;
        let before = base.file.sections();
        if self.sections.len() < before.len() {
            return Err(Unsafe("sections are gone"));
        }
        let mut refused = None;
        let mut names = BTreeSet::new();
        for (index, section) in self.sections.iter().enumerate() {
            let old = before.get(index);
            let laid_out =
                section.flags & shf::ALLOC != 0 || index == base.symtab || index == base.strtab;
            // Such a one is copied like all others, but was not looked at.
            if laid_out && section.sh_type == sht::NULL && self.file.contents(section).is_none() {
                return Err(Unsafe("a section without a type, outside of the file"));
            }
            if laid_out && section.size != 0 && !names.insert(self.name(index)) {
                return Err(Unsafe("two files of one name in sysfs"));
            }
            let align = old.map_or(0, |old| old.align);
            if laid_out && section.align != align && !matches!(section.align, 0 | 1 | 8 | 64) {
                return Err(Unsafe("the alignment of what is laid out"));
            }
            if laid_out
                && section.size > 1 << 20
                && old.is_none_or(|old| old.size != section.size)
                && section.sh_type == sht::NOBITS
            {
                return Err(Unsafe("the size of what is laid out"));
            }
            if index == base.symtab || index == base.strtab {
                // Where they are, and how long, was checked.
                if section.flags != old.map_or(0, |old| old.flags) {
                    return Err(Unsafe("the flags of a table"));
                }
                continue;
            }
            if base.is_special(index) && !base.klp.contains(&index) {
                continue;
            }
            let klp = base.klp.contains(&index) || index >= before.len();
            if !klp {
                // What does not stay in memory and relocates nothing is looked at by nobody.
                let nobody = |section: &Section| {
                    section.flags & (shf::ALLOC | shf::LIVEPATCH) == 0
                        && !matches!(section.sh_type, sht::RELA | sht::REL)
                };
                let ignored = nobody(section) && old.is_some_and(nobody);
                if !ignored && !self.section_is_as_it_was(index) {
                    return Err(Unsafe("what the kernel trusts"));
                }
                continue;
            }
            let name = self.name(index);
            let named = name.starts_with(b".klp.rel");
            let taken = |old: &Section| base.file.section_name(old) == Some(name);
            if !named && (section.flags & shf::LIVEPATCH == 0 || before.iter().any(taken)) {
                // The kernel knows many sections by their names.
                return Err(Unsafe("a section of another name"));
            }
            if section.flags & shf::LIVEPATCH == 0 {
                if let Some(verdict) = self.relocated_by_the_kernel(index, section, old)? {
                    refused = Some(verdict);
                }
            }
        }
        self.trusted_symbols(&mut refused)?;
        if base.machine == S390 {
            self.counted_on_s390()?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// A section that was livepatch's and that the kernel now relocates itself, if it does.
    fn relocated_by_the_kernel(
        &self,
        index: usize,
        section: &Section,
        old: Option<&Section>,
    ) -> Result<Option<Verdict>, Verdict> {
        let target = self.sections.get(section.info as usize);
        let ignored = target.is_none_or(|target| target.flags & shf::ALLOC == 0)
            || section.info as usize == self.base.modinfo;
        match section.sh_type {
            sht::REL if !ignored => Ok(Some(Refused("relocations without addends"))),
            sht::RELA if !ignored => {
                let same = old.is_some_and(|old| {
                    (old.info, old.size) == (section.info, section.size)
                        && self.base.file.contents(old) == self.file.contents(section)
                });
                if same && index < self.base.file.sections().len() {
                    Ok(Some(Refused("named like livepatch's, but not marked")))
                } else {
                    Err(Unsafe("the kernel itself would apply it"))
                }
            }
            _ => Ok(Some(Refused("named like livepatch's, but not marked"))),
        }
    }

    fn trusted_symbols(&self, refused: &mut Option<Verdict>) -> Result<(), Verdict> {
        let base = self.base;
        let Some(table) = base.file.section(base.symtab) else {
            return Err(Unsafe("no symbol table"));
        };
        let Some(strings) = base.file.section(base.strtab) else {
            return Err(Unsafe("no symbol names"));
        };
        let now: BTreeMap<usize, crate::file::Symbol> = self.symbols().collect();
        // The kernel's own checks begin with symbol 1.
        if now.get(&0).is_some_and(|symbol| symbol.shndx != shn::UNDEF) {
            return Err(Unsafe("symbol 0 is defined"));
        }
        if base.ordinary.last().is_some_and(|last| *last >= now.len()) {
            return Err(Unsafe("symbols that the kernel relocates with are gone"));
        }
        for (&index, symbol) in now.iter().skip(1) {
            let name = self.symbol_name(symbol.name);
            let as_it_was = base.file.symbol(&table, index).is_some_and(|old| {
                let placed = crate::file::Symbol {
                    name: symbol.name,
                    ..old
                };
                placed == *symbol && base.file.string(&strings, old.name) == Some(name)
            });
            if as_it_was {
                continue;
            }
            let reserved = symbol.shndx >= shn::LORESERVE;
            let known = [shn::ABS, shn::LIVEPATCH].contains(&symbol.shndx);
            if symbol.shndx == shn::COMMON && !name.starts_with(b"__gnu_lto") {
                *refused = Some(Refused("a common symbol"));
            } else if !known && (reserved || usize::from(symbol.shndx) >= self.sections.len()) {
                *refused = Some(Refused("a symbol of a section that is not there"));
            } else if base.ordinary.contains(&index) {
                return Err(Unsafe("a symbol that the kernel relocates with"));
            } else if symbol.shndx == shn::UNDEF
                && symbol.info >> 4 != 2
                && name.starts_with(b".klp.")
            {
                *refused = Some(Refused("an unknown symbol"));
            }
        }
        Ok(())
    }

    /// The s390 loader counts table entries by the symbols of all relocations, and checks none.
    fn counted_on_s390(&self) -> Result<(), Verdict> {
        let count = self.symbols().count();
        for section in &self.sections {
            let outside = |rela: &Relocation| rela.symbol as usize >= count;
            if section.sh_type != sht::RELA || !self.file.relocations(section).iter().any(outside) {
                continue;
            }
            // Of a livepatch, livepatch.ko has refused it by then.
            return Err(Unsafe("the index of a symbol"));
        }
        Ok(())
    }

    /// What livepatch has to do, or why it must not.
    fn effect(&self) -> Result<Effect, Verdict> {
        let mut effect = Effect::new();
        let mut written = Vec::new();
        for (index, section) in self.sections.iter().enumerate().skip(1) {
            let name = self.name(index);
            let livepatch = section.flags & shf::LIVEPATCH != 0;
            if !self.marked {
                // klp_enable_patch() refuses a module that is not marked.
                return Err(Refused("not marked as a livepatch"));
            }
            if section.sh_type == sht::NULL && !livepatch {
                continue;
            }
            if !livepatch {
                if name.starts_with(b".klp.rela.") || name.starts_with(b".klp.rel.") {
                    return Err(Refused("named like livepatch's, but not marked"));
                }
                continue;
            }
            let (draft, object) = section_name(name).ok_or(Refused("the name of a section"))?;
            let target = self
                .sections
                .get(section.info as usize)
                .ok_or(Refused("no target section"))?;
            let alloc = section.flags & target.flags & shf::ALLOC != 0;
            if section.sh_type != sht::RELA
                || section.link as usize != self.symtab
                || !alloc
                || section.info as usize == self.base.modinfo
            {
                return Err(Refused("a section or its target"));
            }
            let no_data = [sht::NULL, sht::NOBITS, sht::RELA, sht::SYMTAB, sht::STRTAB];
            if no_data.contains(&target.sh_type)
                || self.name(section.info as usize) == b".gnu.linkonce.this_module"
            {
                return Err(Refused("a target section"));
            }
            if !section.size.is_multiple_of(RELA as u64) {
                return Err(Refused("half a relocation"));
            }
            for rela in self.file.relocations(section) {
                let table = self.section(self.symtab);
                let symbol = self
                    .file
                    .symbol(&table, rela.symbol as usize)
                    .filter(|symbol| symbol.shndx == shn::LIVEPATCH)
                    .ok_or(Refused("the symbol of a relocation"))?;
                let width =
                    width(self.base.machine, rela.r_type).ok_or(Refused("a relocation's type"))?;
                let end = rela.offset.checked_add(width);
                if end.is_none_or(|end| end > target.size) {
                    return Err(Refused("a relocation's place"));
                }
                let text = self.symbol_name(symbol.name);
                let parsed = symbol_name(text, symbol.other).ok_or(Refused("a symbol's name"))?;
                if parsed.draft != draft {
                    return Err(Refused("mixed dialects"));
                }
                if parsed.object == b"vmlinux" && object != b"vmlinux" {
                    return Err(Refused("a symbol of the kernel for a module"));
                }
                self.known(&parsed)?;
                if width != 0 {
                    written.push((section.info, rela.offset, rela.offset + width));
                }
                let name = [parsed.object, b".", parsed.name, parsed.position.as_bytes()].concat();
                let place = Relocation { symbol: 0, ..rela };
                effect.push((object.to_vec(), section.info as usize, place, name));
            }
        }
        written.sort_unstable();
        let overlap = |pair: &[(u32, u64, u64)]| match pair {
            [(one, _, end), (two, start, _)] => one == two && start < end,
            _ => false,
        };
        if written.windows(2).any(overlap) {
            return Err(Refused("two relocations of one place"));
        }
        effect.sort_unstable();
        Ok(effect)
    }

    /// A name that the undamaged file does not have is one that nothing has.
    fn known(&self, name: &SymbolName<'_>) -> Result<(), Verdict> {
        let start = [name.object, b".", name.name].concat();
        let same_name = |known: &[u8]| {
            known
                .strip_prefix(start.as_slice())
                .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b','))
        };
        let mut positions = self
            .base
            .effect
            .iter()
            .map(|(_, _, _, known)| known.as_slice())
            .filter(|known| same_name(known))
            .peekable();
        if self.base.effect.is_empty() {
            // It is this that is being read.
            return Ok(());
        }
        if positions.peek().is_none() {
            return Err(Refused("a symbol that is not there"));
        }
        let whole = [start.as_slice(), name.position.as_bytes()].concat();
        if positions.any(|known| known == whole) {
            Ok(())
        } else if name.position.len() > 6 {
            Err(Refused("a position that is not there"))
        } else {
            Err(Unsafe("another symbol of the same name"))
        }
    }
}

fn first_offset(reading: &Reading<'_>) -> Option<u64> {
    reading.sections.first().map(|section| section.offset)
}

fn first_offset_of(base: &Base) -> Option<u64> {
    base.file.section(0).map(|section| section.offset)
}

struct SymbolName<'a> {
    draft: bool,
    object: &'a [u8],
    name: &'a [u8],
    /// As text, after a comma; nothing for 0.
    position: String,
}

fn is_object(name: &[u8]) -> bool {
    (1..=55).contains(&name.len())
        && name
            .iter()
            .all(|byte| (b'!'..=b'~').contains(byte) && !b"./,".contains(byte))
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|&byte| byte == at)?;
    Some((text.get(..position)?, text.get(position + 1..)?))
}

/// Dialect and object of a livepatch relocation section.
fn section_name(name: &[u8]) -> Option<(bool, &[u8])> {
    let (draft, rest) = match name.strip_prefix(b".klp.rela.") {
        Some(rest) => (false, rest),
        None => (true, name.strip_prefix(b".klp.rel.")?),
    };
    let (object, target) = split(rest, b'.')?;
    (is_object(object) && !target.is_empty()).then_some((draft, object))
}

fn symbol_name(name: &[u8], other: u8) -> Option<SymbolName<'_>> {
    let (object, rest) = split(name.strip_prefix(b".klp.sym.")?, b'.')?;
    let (draft, name, position) = match split(rest, b',') {
        Some((name, digits)) => {
            let digits = std::str::from_utf8(digits).ok()?;
            let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            (
                false,
                name,
                only_digits.then(|| digits.parse::<u64>().ok())??,
            )
        }
        None => (true, rest, u64::from(other >> 2)),
    };
    if !is_object(object) || !(1..=511).contains(&name.len()) {
        return None;
    }
    let position = match position {
        0 => String::new(),
        position => format!(",{position}"),
    };
    Some(SymbolName {
        draft,
        object,
        name,
        position,
    })
}

/// How many bytes a relocation writes, where the kernel's loader knows its type.
pub(crate) fn width(machine: u16, r_type: u32) -> Option<u64> {
    Some(match (machine, r_type) {
        (_, 0) => 0,
        (X86_64, 1 | 24) => 8,
        (X86_64, 2 | 4 | 10 | 11) => 4,
        (S390, 1) => 1,
        (S390, 2 | 3 | 6 | 15..=18 | 27 | 29 | 30 | 34) => 2,
        (S390, 4 | 5 | 7 | 8 | 13 | 14 | 19..=21 | 26 | 31 | 33 | 35 | 57..=59) => 4,
        (S390, 22..=25 | 28 | 32 | 36) => 8,
        _ => return None,
    })
}
