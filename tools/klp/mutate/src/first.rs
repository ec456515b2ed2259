// SPDX-License-Identifier: GPL-2.0

//! What livepatch.ko has to refuse before the kernel's own loader gets to it: the loader would
//! take it as it is, and harm itself.

use crate::file::{ehdr, shf, sht, File, Section, EHDR, SHDR, SYM};
use crate::judge::{is_marked, width, S390};
use std::ops::Range;

/// The most that a module may take of the kernel's memory.
const MEMORY: u64 = 1 << 31;

/// Where the name is in the kernel's record of a module.
const NAME: Range<usize> = 24..80;

/// All that [`refused`] can say.
pub const REASONS: [&str; 17] = [
    "section 0 is not empty",
    "the name of a section",
    "an alignment",
    "more than there is memory",
    "a section over a table",
    "symbol 0 is defined",
    "a section without contents",
    "a note that is freed",
    "module information without an end",
    "the record of the module cannot be written",
    "the record of the module is not aligned",
    "the record of the module",
    "the name in the record of the module",
    "the index of a symbol",
    "relocations that change a table",
    "the place of a relocation",
    "a symbol that does not stay in memory",
];

/// Why livepatch.ko refuses a file before all others. `None` where it may leave that to others,
/// or where it does not take the file for a livepatch.
pub fn refused(machine: u16, file: &File) -> Option<&'static str> {
    let field = |field| file.get(0, field);
    let order = if file.is_big() { 2 } else { 1 };
    let (start, count) = file.table();
    let is_module = file.data.get(..6) == Some(&[0x7f, b'E', b'L', b'F', 2, order])
        && field(ehdr::TYPE) == Some(1)
        && field(ehdr::MACHINE) == Some(machine.into())
        && field(ehdr::SHENTSIZE) == Some(SHDR as u64);
    let sections = file.sections();
    if !is_module || file.data.len() < EHDR || sections.len() != count {
        return None;
    }
    let names = *sections.get(field(ehdr::SHSTRNDX)? as usize)?;
    let name_bytes = file.contents(&names)?;
    let name = |section: &Section| -> Option<&[u8]> {
        let tail = name_bytes.get(section.name as usize..)?;
        tail.get(..tail.iter().position(|&byte| byte == 0)?)
    };
    let first_named = |wanted: &[u8]| {
        let mut later = sections.iter().skip(1);
        later.find(|section| name(section) == Some(wanted))
    };
    let info = first_named(b".modinfo").filter(|section| section.sh_type != sht::NOBITS)?;
    let info = file.contents(info)?;
    if !is_marked(info) {
        return None;
    }

    let zero = sections.first()?;
    if zero.name != 0 || zero.flags != 0 {
        return Some("section 0 is not empty");
    }
    let mut memory = 0u64;
    for section in sections.iter().skip(1) {
        let Some(name) = name(section) else {
            return Some("the name of a section");
        };
        if let Some(why) = header(file, section, name) {
            return Some(why);
        }
        if section.flags & shf::ALLOC != 0 {
            memory = memory.saturating_add(section.size);
            if section.align.count_ones() > 1 {
                return Some("an alignment");
            }
            if memory > MEMORY || section.align > MEMORY {
                return Some("more than there is memory");
            }
        }
    }
    let symtab = sections.iter().position(|s| s.sh_type == sht::SYMTAB)?;
    let table = *sections.get(symtab)?;
    let tables = [symtab, table.link as usize, field(ehdr::SHSTRNDX)? as usize];
    let headers = start as u64..start as u64 + (count * SHDR) as u64;
    for (index, section) in sections.iter().enumerate().skip(1) {
        let has_contents = !matches!(section.sh_type, sht::NULL | sht::NOBITS);
        let extent = section.offset..section.offset.saturating_add(section.size);
        let over = |other: &Range<u64>| extent.start.max(other.start) < extent.end.min(other.end);
        let over_table = tables.iter().any(|&table| {
            let section = sections.get(table).filter(|_| table != index);
            section.is_some_and(|s| over(&(s.offset..s.offset.saturating_add(s.size))))
        });
        if has_contents && (over(&headers) || over_table) {
            return Some("a section over a table");
        }
    }
    file.contents(&table)?;
    if file
        .symbol(&table, 0)
        .is_some_and(|symbol| symbol.shndx != 0)
    {
        return Some("symbol 0 is defined");
    }
    let count = file.entries(&table, SYM);
    for section in &sections {
        if section.sh_type == sht::RELA {
            let why = relocations(machine, file, &sections, &tables, count, section);
            if why.is_some() {
                return why;
            }
        }
    }
    None
}

/// Whether a section of this name may be in memory that is freed when the init function is done.
pub fn is_freed(name: &[u8]) -> bool {
    name.starts_with(b".init") || name.starts_with(b".exit")
}

/// What is wrong with a section that is called `name`, for itself.
fn header(file: &File, section: &Section, name: &[u8]) -> Option<&'static str> {
    let is_allocated = section.flags & shf::ALLOC != 0;
    let from_file: &[&[u8]] = &[
        b".modinfo",
        b".gnu.linkonce.this_module",
        b".data..percpu",
        b"__versions",
        b"__version_ext_crcs",
        b"__version_ext_names",
        b".BTF",
        b".BTF.base",
    ];
    let is_missing = match section.sh_type {
        sht::NULL => section.size != 0,
        sht::NOBITS => section.size != 0 && (!is_allocated || from_file.contains(&name)),
        _ => false,
    };
    if is_missing {
        return Some("a section without contents");
    }
    if section.sh_type == sht::NOTE && is_allocated && is_freed(name) && section.size != 0 {
        return Some("a note that is freed");
    }
    let data = file.contents(section);
    if name == b".modinfo" && data.is_some_and(|data| data.last().is_some_and(|&last| last != 0)) {
        return Some("module information without an end");
    }
    if name == b".gnu.linkonce.this_module" {
        if section.flags & (shf::WRITE | shf::EXECINSTR) != shf::WRITE {
            return Some("the record of the module cannot be written");
        }
        if section.align < 8 {
            return Some("the record of the module is not aligned");
        }
        // The kernel refuses one of another length.
        let (data, name) = data.and_then(|data| Some((data, data.get(NAME)?)))?;
        let other = |(at, &byte): (usize, &u8)| byte != 0 && !NAME.contains(&at);
        if data.iter().enumerate().any(other) {
            return Some("the record of the module");
        }
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(0);
        let (name, rest) = name.split_at(length);
        let is_good = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
        if name.is_empty() || !name.iter().all(is_good) || rest.iter().any(|&byte| byte != 0) {
            return Some("the name in the record of the module");
        }
    }
    None
}

/// What the kernel relocates itself; on s390 what it counts by, too.
fn relocations(
    machine: u16,
    file: &File,
    sections: &[Section],
    tables: &[usize; 3],
    count: usize,
    section: &Section,
) -> Option<&'static str> {
    let outside = file
        .relocations(section)
        .iter()
        .any(|rela| rela.symbol as usize >= count);
    let target = sections.get(section.info as usize);
    let is_table = tables.get(..2)?.contains(&(section.info as usize));
    let applied = target.is_some_and(|target| is_table || target.flags & shf::ALLOC != 0);
    if outside && (applied || machine == S390 || section.flags & shf::LIVEPATCH != 0) {
        return Some("the index of a symbol");
    }
    let target = target.filter(|_| applied && section.flags & shf::LIVEPATCH == 0)?;
    if matches!(target.sh_type, sht::RELA | sht::SYMTAB | sht::STRTAB) {
        return Some("relocations that change a table");
    }
    let symtab = *sections.get(*tables.first()?)?;
    for rela in file.relocations(section) {
        let Some(width) = width(machine, rela.r_type).filter(|&width| width != 0) else {
            continue;
        };
        if rela
            .offset
            .checked_add(width)
            .is_none_or(|end| end > target.size)
        {
            return Some("the place of a relocation");
        }
        let symbol = file.symbol(&symtab, rela.symbol as usize)?;
        let defined = sections
            .get(symbol.shndx as usize)
            .filter(|_| symbol.shndx != 0);
        if symbol.shndx < 0xff00 && defined.is_some_and(|s| s.flags & shf::ALLOC == 0) {
            return Some("a symbol that does not stay in memory");
        }
    }
    None
}
