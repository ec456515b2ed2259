// SPDX-License-Identifier: GPL-2.0

//! What is done to a livepatch: one fault each, at a place and with a value drawn at random from
//! those that are most likely to be mistaken for something else.

use crate::file::{
    ehdr, rela, shdr, shf, shn, sht, sym, Field, File, Section, EHDR, RELA, SHDR, SYM,
};
use crate::first::is_freed;
use crate::judge::{Base, ADMITTED, S390, X86_64};
use fastrand::Rng;

/// Damages a file; says what it did, or does nothing where it cannot.
pub type Fault = fn(&mut File, &Base, &mut Rng) -> Option<String>;

/// All faults, with their names.
pub const FAULTS: &[(&str, Fault)] = &[
    ("section type", section_type),
    ("section flags", section_flags),
    ("section link", section_link),
    ("section target", section_target),
    ("section size", section_size),
    ("section offset", section_offset),
    ("section name", section_name),
    ("section name text", section_name_text),
    ("section ignored field", section_ignored),
    ("section twice", section_twice),
    ("section numbers", section_numbers),
    ("relocation offset", relocation_offset),
    ("relocation symbol", relocation_symbol),
    ("relocation type", relocation_type),
    ("relocation place twice", relocation_twice),
    ("relocation bytes", relocation_bytes),
    ("symbol section", symbol_section),
    ("symbol name", symbol_name),
    ("symbol name text", symbol_name_text),
    ("symbol ignored field", symbol_ignored),
    ("symbol dialect", symbol_dialect),
    ("other symbol", other_symbol),
    ("symbol table", symbol_table),
    ("string table", string_table),
    ("header", header),
    ("header identification", header_ident),
    ("modinfo key", modinfo_key),
    ("modinfo extent", modinfo_extent),
    ("file length", file_length),
    ("noise in livepatch sections", noise_klp),
    ("noise in headers", noise_headers),
    ("noise in symbols", noise_symbols),
    ("noise in names", noise_names),
    ("noise anywhere", noise_anywhere),
    ("any section", any_section),
    ("note", note),
    ("ordinary relocation", ordinary_relocation),
    ("ordinary relocations elsewhere", ordinary_target),
    ("record of the module", record),
    ("section 0", section_zero),
    ("symbol 0", symbol_zero),
    ("section over another", section_over),
];

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> Option<T> {
    rng.choice(from).copied()
}

/// A number near one of the limits that a check may have.
fn near(rng: &mut Rng, limit: u64) -> u64 {
    let step = rng.u64(..3);
    match rng.u8(..6) {
        0 => limit,
        1 => limit.wrapping_add(step),
        2 => limit.wrapping_sub(step),
        3 => u64::MAX.wrapping_sub(step),
        4 => (1 << rng.u32(..64)) | step,
        _ => limit ^ 1 << rng.u32(..64),
    }
}

fn cut(value: u64, field: Field) -> u64 {
    match field.1 {
        8 => value,
        size => value & ((1 << (size * 8)) - 1),
    }
}

/// Writes a number of a section header.
fn set(file: &mut File, index: usize, name: &str, field: Field, value: u64) -> Option<String> {
    let at = file.header(index);
    let value = cut(value, field);
    file.put(at, field, value)?;
    Some(format!("section {index}, {name} {value:#x}"))
}

fn section_type(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let types = [
        sht::NULL,
        sht::PROGBITS,
        sht::SYMTAB,
        sht::STRTAB,
        sht::NOTE,
        sht::NOBITS,
        sht::REL,
        sht::GROUP,
        0x7fff_ffff,
        u32::MAX,
    ];
    let value = match rng.u8(..4) {
        0 => rng.u32(..),
        _ => pick(rng, &types)?,
    };
    set(file, index, "type", shdr::TYPE, value.into())
}

fn section_flags(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let flags = file.section(index)?.flags;
    let bits = [shf::ALLOC, shf::LIVEPATCH, shf::WRITE, shf::EXECINSTR];
    let flags = match rng.u8(..4) {
        0 => flags ^ 1 << rng.u32(..64),
        1 => flags & !(shf::ALLOC | shf::LIVEPATCH),
        _ => flags ^ pick(rng, &bits)?,
    };
    set(file, index, "flags", shdr::FLAGS, flags)
}

fn section_link(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let (_, count) = file.table();
    let value = match rng.u8(..3) {
        0 => base.strtab as u64,
        1 => rng.u64(..count.max(1) as u64),
        _ => near(rng, count as u64),
    };
    set(file, index, "link", shdr::LINK, value)
}

fn section_target(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let (_, count) = file.table();
    let tables = [base.symtab, base.strtab, base.shstrtab, base.modinfo, index];
    let value = match rng.u8(..4) {
        0 => pick(rng, &base.klp)? as u64,
        1 => pick(rng, &tables)? as u64,
        2 => rng.u64(..count.max(1) as u64),
        _ => near(rng, count as u64),
    };
    set(file, index, "info", shdr::INFO, value)
}

fn section_size(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let section = file.section(index)?;
    let rest = (file.data.len() as u64).saturating_sub(section.offset);
    let value = match rng.u8(..5) {
        0 => section.size + RELA as u64 * rng.u64(1..50),
        1 => rest,
        2 => rest / RELA as u64 * RELA as u64,
        3 => section.offset.wrapping_neg(),
        _ => near(rng, section.size),
    };
    set(file, index, "size", shdr::SIZE, value)
}

fn section_offset(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let section = file.section(index)?;
    let (start, count) = file.table();
    let length = file.data.len() as u64;
    let value = match rng.u8(..6) {
        // Over what it relocates, over another section, over the section headers.
        0 => file.section(section.info as usize)?.offset,
        1 => file.section(rng.usize(..count.max(1)))?.offset,
        2 => start as u64,
        3 => length.saturating_sub(section.size),
        4 => section.offset ^ rng.u64(..64),
        _ => near(rng, length),
    };
    set(file, index, "offset", shdr::OFFSET, value)
}

fn section_name(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let name = u64::from(file.section(index)?.name);
    let size = file.section(base.shstrtab)?.size;
    let value = match rng.u8(..4) {
        0 => name + rng.u64(1..20),
        1 => rng.u64(..size.max(1)),
        2 => 0,
        _ => near(rng, size),
    };
    set(file, index, "name", shdr::NAME, value)
}

/// Objects that livepatch names may have instead.
fn bad_object(rng: &mut Rng) -> Option<Vec<u8>> {
    Some(match rng.u8(..8) {
        0 => Vec::new(),
        1 => b"x".repeat(rng.usize(55..60)),
        2 => b"x".repeat(4000),
        3 => b"a/b".to_vec(),
        4 => b"a,b".to_vec(),
        5 => vec![rng.u8(1..=255); rng.usize(1..5)],
        6 => b"%s%n%p".to_vec(),
        _ => b"no such module".to_vec(),
    })
}

fn section_name_text(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let target = file.section(file.section(index)?.info as usize)?;
    let target = file.section_name(&target)?.to_vec();
    let prefix = pick(
        rng,
        &[
            ".klp.rela.",
            ".klp.rel.",
            ".klp.relo.",
            ".klp.",
            ".KLP.RELA.",
        ],
    )?;
    let object = match rng.u8(..3) {
        0 => b"vmlinux".to_vec(),
        _ => bad_object(rng)?,
    };
    let target = match rng.u8(..4) {
        0 => Vec::new(),
        1 => target.get(1..)?.to_vec(),
        2 => b".".repeat(rng.usize(1..2000)),
        _ => target,
    };
    let name = [prefix.as_bytes(), &object, &target].concat();
    let offset = file.add_string(base.shstrtab, &name)?;
    set(file, index, "name", shdr::NAME, offset)?;
    Some(format!("section {index} is called {}", shown(&name)))
}

fn shown(name: &[u8]) -> String {
    let start = name.get(..60).unwrap_or(name);
    match name.len() {
        0..=60 => start.escape_ascii().to_string(),
        length => format!("{}... ({length} bytes)", start.escape_ascii()),
    }
}

/// What the kernel overwrites or nobody reads: it must not matter.
fn section_ignored(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &base.klp)?;
    let fields = [
        ("entsize", shdr::ENTSIZE),
        ("address", shdr::ADDR),
        ("alignment", shdr::ALIGN),
    ];
    let (name, field) = pick(rng, &fields)?;
    let value = match name {
        "alignment" => pick(rng, &[0, 1, 8, 64])?,
        _ => near(rng, RELA as u64),
    };
    set(file, index, name, field, value)
}

fn section_twice(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = match rng.u8(..4) {
        0 => pick(rng, &[base.symtab, base.modinfo, base.strtab])?,
        _ => pick(rng, &base.klp)?,
    };
    let start = file.header(index);
    let header = file.data.get(start..start.checked_add(SHDR)?)?.to_vec();
    file.add_header(&header)?;
    if base.klp.contains(&index) {
        // Of two sections of one name the kernel makes two files of one name.
        let name = file.section_name(&file.section(index)?)?;
        let name = [name, b".again"].concat();
        let offset = file.add_string(base.shstrtab, &name)?;
        let (_, count) = file.table();
        file.put(file.header(count.checked_sub(1)?), shdr::NAME, offset)?;
    }
    Some(format!("section {index} is there twice"))
}

fn section_numbers(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    // One with contents of its own, so that several faults meet in one section.
    let index = pick(rng, &base.klp)?;
    let fields = [
        shdr::NAME,
        shdr::TYPE,
        shdr::FLAGS,
        shdr::OFFSET,
        shdr::SIZE,
        shdr::LINK,
        shdr::INFO,
    ];
    let field = pick(rng, &fields)?;
    let old = file.get(file.header(index), field)?;
    let value = match rng.u8(..3) {
        0 => old ^ 1 << rng.u32(..field.1 as u32 * 8),
        1 => old.swap_bytes(),
        _ => rng.u64(..),
    };
    set(file, index, &format!("field at {}", field.0), field, value)
}

/// Where a livepatch relocation is in the file, and the index of its section.
fn some_relocation(file: &File, base: &Base, rng: &mut Rng) -> Option<(usize, usize, usize)> {
    let index = pick(rng, &base.klp)?;
    let section = file.section(index)?;
    let count = file.entries(&section, RELA);
    if count == 0 {
        return None;
    }
    let nr = rng.usize(..count);
    Some((index, nr, usize::try_from(section.offset).ok()? + nr * RELA))
}

fn relocation_offset(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, nr, at) = some_relocation(file, base, rng)?;
    let target = file.section(file.section(index)?.info as usize)?;
    let value = match rng.u8(..3) {
        0 => target.size.wrapping_sub(rng.u64(..9)),
        1 => (rng.u64(..) << 32) | target.size,
        _ => near(rng, target.size),
    };
    file.put(at, rela::OFFSET, value)?;
    Some(format!(
        "section {index}, relocation {nr}, offset {value:#x}"
    ))
}

fn set_half(file: &mut File, at: usize, high: bool, value: u64) -> Option<()> {
    let info = file.get(at, rela::INFO)?;
    let info = match high {
        true => info & 0xffff_ffff | value << 32,
        false => info & !0xffff_ffff | value & 0xffff_ffff,
    };
    file.put(at, rela::INFO, info)
}

fn relocation_symbol(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, nr, at) = some_relocation(file, base, rng)?;
    let table = file.section(base.symtab)?;
    let count = file.entries(&table, SYM) as u64;
    let value = match rng.u8(..3) {
        0 => rng.u64(..count.max(1)),
        1 => near(rng, count),
        _ => 0,
    } & 0xffff_ffff;
    set_half(file, at, true, value)?;
    Some(format!("section {index}, relocation {nr}, symbol {value}"))
}

fn relocation_type(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, nr, at) = some_relocation(file, base, rng)?;
    // Those that no loader applies, and those of other architectures.
    let unknown: &[u32] = match base.machine {
        X86_64 => &[3, 5, 6, 7, 8, 9, 12, 13, 14, 15, 23, 25, 32, 37, 38, 42],
        S390 => &[9, 10, 11, 12, 37, 38, 56, 60, 61, 62],
        _ => &[],
    };
    let value = match rng.u8(..3) {
        0 => rng.u32(..),
        1 => rng.u32(64..300),
        _ => pick(rng, unknown)?,
    };
    set_half(file, at, false, value.into())?;
    Some(format!("section {index}, relocation {nr}, type {value}"))
}

/// Two relocations that write to one place, of one section or of two, wholly or in part.
fn relocation_twice(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (to, number, from) = some_relocation(file, base, rng)?;
    let (index, nr, at) = some_relocation(file, base, rng)?;
    if at == from || file.section(to)?.info != file.section(index)?.info {
        return None;
    }
    let offset = file
        .get(from, rela::OFFSET)?
        .wrapping_add(pick(rng, &[0, 0, 1, 2, 3])?);
    file.put(at, rela::OFFSET, offset)?;
    Some(format!(
        "section {index}, relocation {nr} at the place of section {to}, relocation {number}"
    ))
}

fn relocation_bytes(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, nr, at) = some_relocation(file, base, rng)?;
    let room = file.data.get_mut(at..at.checked_add(RELA)?)?;
    match rng.u8(..3) {
        0 => room.fill(0),
        1 => room.fill(0xff),
        _ => rng.fill(room),
    }
    Some(format!("section {index}, relocation {nr} is overwritten"))
}

/// Where a livepatch symbol is in the file.
fn some_symbol(file: &File, base: &Base, rng: &mut Rng) -> Option<(usize, usize)> {
    let index = pick(rng, &base.symbols)?;
    Some((index, symbol_at(file, base, index)?))
}

fn symbol_at(file: &File, base: &Base, index: usize) -> Option<usize> {
    let table = file.section(base.symtab)?;
    usize::try_from(table.offset)
        .ok()?
        .checked_add(index.checked_mul(SYM)?)
}

fn some_shndx(file: &File, rng: &mut Rng) -> Option<u16> {
    let (_, count) = file.table();
    let special = [
        shn::UNDEF,
        shn::LORESERVE,
        shn::LIVEPATCH,
        shn::LIVEPATCH - 1,
        shn::ABS,
        shn::COMMON,
        shn::XINDEX,
    ];
    Some(match rng.u8(..3) {
        0 => near(rng, count as u64) as u16,
        1 => rng.u16(..),
        _ => pick(rng, &special)?,
    })
}

fn symbol_section(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, at) = some_symbol(file, base, rng)?;
    let value = some_shndx(file, rng)?;
    file.put(at, sym::SHNDX, value.into())?;
    Some(format!("symbol {index}, section index {value:#x}"))
}

fn symbol_name(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, at) = some_symbol(file, base, rng)?;
    let size = file.section(base.strtab)?.size;
    let old = file.get(at, sym::NAME)?;
    let value = match rng.u8(..3) {
        0 => old + rng.u64(1..20),
        1 => rng.u64(..size.max(1)),
        _ => near(rng, size),
    };
    let value = cut(value, sym::NAME);
    file.put(at, sym::NAME, value)?;
    Some(format!("symbol {index}, name at {value:#x}"))
}

fn symbol_name_text(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, at) = some_symbol(file, base, rng)?;
    let table = file.section(base.strtab)?;
    let old = file
        .string(&table, file.get(at, sym::NAME)? as u32)?
        .to_vec();
    let text = String::from_utf8_lossy(&old).into_owned();
    let (whole, _) = text.split_once(',').unwrap_or((&text, ""));
    let name: Vec<u8> = match rng.u8(..12) {
        0 => format!("{whole},").into(),
        1 => format!("{whole},x").into(),
        2 => format!("{whole},99999999").into(),
        3 => format!("{whole},{}", u64::MAX).into(),
        4 => format!("{whole},184467440737095516160").into(),
        5 => format!("{whole},-1").into(),
        6 => format!("{whole}_klp_is_not_there,0").into(),
        7 => [b".klp.sym.", bad_object(rng)?.as_slice(), b".name,0"].concat(),
        8 => [
            b".klp.sym.vmlinux.",
            b"x".repeat(rng.usize(505..2000)).as_slice(),
            b",0",
        ]
        .concat(),
        9 => b".klp.sym.vmlinux.,0".to_vec(),
        10 => text.replacen(".klp.sym.", ".klp.sim.", 1).into(),
        // Mainline's form in the draft's place, and the other way round.
        _ if text.contains(',') => whole.into(),
        _ => format!("{whole},0").into(),
    };
    let offset = file.add_string(base.strtab, &name)?;
    file.put(at, sym::NAME, offset)?;
    Some(format!("symbol {index} is called {}", shown(&name)))
}

/// What livepatch sets itself, or nobody reads: it must not matter.
fn symbol_ignored(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, at) = some_symbol(file, base, rng)?;
    let fields = [
        ("value", sym::VALUE),
        ("size", sym::SIZE),
        ("info", sym::INFO),
        ("other", sym::OTHER),
    ];
    let (name, field) = pick(rng, &fields)?;
    let value = cut(near(rng, 4), field);
    file.put(at, field, value)?;
    Some(format!("symbol {index}, {name} {value:#x}"))
}

/// All livepatch symbols in the draft's dialect; with luck, the sections too.
fn symbol_dialect(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let table = file.section(base.strtab)?;
    for &index in &base.symbols {
        let at = symbol_at(file, base, index)?;
        let strings = file.section(base.strtab).unwrap_or(table);
        let name = file.string(&strings, file.get(at, sym::NAME)? as u32)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let (name, position) = name.split_once(',')?;
        let position = position.parse::<u64>().ok()?;
        let offset = file.add_string(base.strtab, name.as_bytes())?;
        file.put(at, sym::NAME, offset)?;
        file.put(at, sym::OTHER, position << 2)?;
    }
    let mut sections = 0;
    for &index in &base.klp {
        if rng.u8(..4) == 0 {
            continue;
        }
        let section = file.section(index)?;
        let name = file.section_name(&section)?;
        let rest = name.strip_prefix(b".klp.rela.")?;
        let name = [b".klp.rel.", rest].concat();
        let offset = file.add_string(base.shstrtab, &name)?;
        file.put(file.header(index), shdr::NAME, offset)?;
        sections += 1;
    }
    let all = base.klp.len();
    Some(format!("draft symbols, {sections} of {all} sections"))
}

/// A symbol that is not livepatch's.
fn other_symbol(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let table = file.section(base.symtab)?;
    let index = rng.usize(..file.entries(&table, SYM).max(1));
    let at = symbol_at(file, base, index)?;
    if rng.bool() {
        let value = some_shndx(file, rng)?;
        file.put(at, sym::SHNDX, value.into())?;
        return Some(format!("symbol {index}, section index {value:#x}"));
    }
    let fields = [sym::NAME, sym::INFO, sym::OTHER, sym::VALUE, sym::SIZE];
    let field = pick(rng, &fields)?;
    let value = cut(rng.u64(..), field);
    file.put(at, field, value)?;
    Some(format!("symbol {index}, field at {}: {value:#x}", field.0))
}

/// A number of the header of the symbol table.
fn symbol_table(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let section = file.section(base.symtab)?;
    let rest = (file.data.len() as u64).saturating_sub(section.offset);
    let (name, field, value) = match rng.u8(..6) {
        0 => ("size", shdr::SIZE, rest),
        1 => ("size", shdr::SIZE, section.size + rng.u64(1..200)),
        2 => ("size", shdr::SIZE, near(rng, section.size)),
        3 => ("link", shdr::LINK, near(rng, base.strtab as u64)),
        4 => ("info", shdr::INFO, rng.u64(..)),
        _ => ("entsize", shdr::ENTSIZE, near(rng, SYM as u64)),
    };
    set(file, base.symtab, name, field, value)
}

/// The names of symbols or of sections.
fn string_table(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let index = pick(rng, &[base.strtab, base.shstrtab])?;
    let section = file.section(index)?;
    let start = usize::try_from(section.offset).ok()?;
    let end = start.checked_add(usize::try_from(section.size).ok()?)?;
    match rng.u8(..6) {
        0 => {
            *file.data.get_mut(end.checked_sub(1)?)? = b'x';
            Some(format!("section {index} ends without NUL"))
        }
        1 => {
            *file.data.get_mut(start)? = b'x';
            Some(format!("section {index} begins without NUL"))
        }
        2 => {
            let length = rng.usize(1..64);
            let at = start + rng.usize(..(end - start).max(1));
            for byte in file.data.get_mut(at..(at + length).min(end))? {
                *byte = b'x';
            }
            Some(format!("section {index}: {length} bytes without NUL"))
        }
        3 => set(file, index, "type", shdr::TYPE, rng.u64(..20)),
        4 => set(
            file,
            index,
            "size",
            shdr::SIZE,
            rng.u64(..section.size.max(1)),
        ),
        _ => {
            let size = near(rng, section.size);
            set(file, index, "size", shdr::SIZE, size)
        }
    }
}

fn header(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let length = file.data.len() as u64;
    let (start, count) = file.table();
    let (name, field, value) = match rng.u8(..8) {
        0 => ("e_shnum", ehdr::SHNUM, near(rng, count as u64)),
        1 => ("e_shoff", ehdr::SHOFF, near(rng, length)),
        2 => ("e_shoff", ehdr::SHOFF, near(rng, start as u64)),
        3 => ("e_shoff", ehdr::SHOFF, near(rng, length.saturating_sub(64))),
        4 => ("e_shstrndx", ehdr::SHSTRNDX, near(rng, count as u64)),
        5 => ("e_shstrndx", ehdr::SHSTRNDX, base.strtab as u64),
        6 => ("e_shentsize", ehdr::SHENTSIZE, near(rng, 64)),
        _ => ("e_type", ehdr::TYPE, near(rng, 1)),
    };
    let value = cut(value, field);
    file.put(0, field, value)?;
    Some(format!("{name} {value:#x}"))
}

fn header_ident(file: &mut File, _base: &Base, rng: &mut Rng) -> Option<String> {
    let at = pick(rng, &[4, 5, 6, 7, 18, 19, 20, 48, 52, 54, 56])?;
    let byte = file.data.get_mut(at)?;
    *byte = match rng.u8(..3) {
        0 => 0,
        1 => *byte ^ 3,
        _ => rng.u8(..),
    };
    let byte = *byte;
    Some(format!("byte {at} is {byte:#x}"))
}

/// The mark of a livepatch: there, not there, twice, almost there.
fn modinfo_key(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let section = file.section(base.modinfo)?;
    let info = file.contents(&section)?.to_vec();
    let mut entries: Vec<Vec<u8>> = info
        .split(|&byte| byte == 0)
        .filter(|entry| !entry.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let at = entries
        .iter()
        .position(|entry| entry.starts_with(b"livepatch="))?;
    let (what, text): (&str, Vec<u8>) = match rng.u8(..9) {
        0 => ("gone", b"livepotch=Y".to_vec()),
        1 => ("without a value", b"livepatch=".to_vec()),
        2 => ("without an equals sign", b"livepatch".to_vec()),
        3 => ("of another kind", b"livepatch=N".to_vec()),
        4 => (
            "written as livepatch.ko writes it",
            [ADMITTED, b"=Y"].concat(),
        ),
        5 => ("there twice", b"livepatch=Y\0livepatch=Y".to_vec()),
        6 => ("written both ways", [ADMITTED, b"=Y\0livepatch=Y"].concat()),
        7 => (
            "of a long value",
            [b"livepatch=".to_vec(), b"y".repeat(3000)].concat(),
        ),
        _ => ("in another's value", b"comment=livepatch=Y".to_vec()),
    };
    *entries.get_mut(at)? = text;
    if rng.bool() {
        let entry = entries.remove(at);
        entries.insert(0, entry);
    }
    let mut info = entries.join(b"\0".as_slice());
    if rng.u8(..4) == 0 {
        info.splice(0..0, vec![0; rng.usize(1..40)]);
    }
    info.push(0);
    // Elsewhere, and not at the end.
    file.data.resize(file.data.len().next_multiple_of(8), 0);
    let offset = file.data.len() as u64;
    set(file, base.modinfo, "offset", shdr::OFFSET, offset)?;
    set(file, base.modinfo, "size", shdr::SIZE, info.len() as u64)?;
    file.data.extend_from_slice(&info);
    file.data.resize(file.data.len() + 128, 0);
    Some(format!("the key is {what}"))
}

fn modinfo_extent(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let section = file.section(base.modinfo)?;
    match rng.u8(..5) {
        0 => {
            let end = usize::try_from(section.offset.checked_add(section.size)?).ok()?;
            *file.data.get_mut(end.checked_sub(1)?)? = b'x';
            Some("the last string has no end".into())
        }
        1 => {
            let size = rng.u64(..section.size.max(1));
            set(file, base.modinfo, "size", shdr::SIZE, size)
        }
        2 => set(file, base.modinfo, "type", shdr::TYPE, sht::NOBITS.into()),
        3 => set(file, base.modinfo, "type", shdr::TYPE, rng.u64(..20)),
        _ => {
            let size = near(rng, section.size);
            set(file, base.modinfo, "size", shdr::SIZE, size)
        }
    }
}

fn file_length(file: &mut File, _base: &Base, rng: &mut Rng) -> Option<String> {
    let length = file.data.len();
    match rng.u8(..4) {
        0 => file.data.truncate(rng.usize(..EHDR + 2)),
        1 => file.data.truncate(rng.usize(..length.max(1))),
        2 => file.data.truncate(length.saturating_sub(rng.usize(1..65))),
        _ => {
            let more = rng.usize(1..5000);
            file.data
                .extend(std::iter::repeat_with(|| rng.u8(..)).take(more));
        }
    }
    Some(format!("{} bytes of {length}", file.data.len()))
}

/// Changes some bytes of a part of the file.
fn noise(file: &mut File, start: usize, end: usize, rng: &mut Rng) -> Option<String> {
    let end = end.min(file.data.len());
    if start >= end {
        return None;
    }
    let count = rng.usize(1..9);
    let mut places = Vec::new();
    for _ in 0..count {
        let at = rng.usize(start..end);
        let byte = file.data.get_mut(at)?;
        *byte = match rng.u8(..4) {
            0 => *byte ^ 1 << rng.u32(..8),
            1 => 0,
            2 => 0xff,
            _ => rng.u8(..),
        };
        places.push(format!("{at:#x}"));
    }
    Some(format!("bytes at {}", places.join(", ")))
}

fn extent(file: &File, index: usize) -> Option<(usize, usize)> {
    let section = file.section(index)?;
    let start = usize::try_from(section.offset).ok()?;
    Some((
        start,
        start.checked_add(usize::try_from(section.size).ok()?)?,
    ))
}

fn noise_klp(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (start, end) = extent(file, pick(rng, &base.klp)?)?;
    noise(file, start, end, rng)
}

fn noise_headers(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let tables = [base.symtab, base.strtab, base.shstrtab, base.modinfo];
    let index = match rng.u8(..4) {
        0 => pick(rng, &tables)?,
        _ => pick(rng, &base.klp)?,
    };
    let at = file.header(index);
    noise(file, at, at.checked_add(SHDR)?, rng)
}

fn noise_symbols(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (_, at) = some_symbol(file, base, rng)?;
    noise(file, at, at.checked_add(SYM)?, rng)
}

fn noise_names(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let tables = [base.strtab, base.shstrtab, base.modinfo];
    let (start, end) = extent(file, pick(rng, &tables)?)?;
    noise(file, start, end, rng)
}

fn noise_anywhere(file: &mut File, _base: &Base, rng: &mut Rng) -> Option<String> {
    let end = file.data.len();
    noise(file, 0, end, rng)
}

/// A number of any section's header: most sections are the kernel's affair.
fn any_section(file: &mut File, _base: &Base, rng: &mut Rng) -> Option<String> {
    let (_, count) = file.table();
    let index = rng.usize(1..count.max(2));
    let section = file.section(index)?;
    let (name, field, value) = match rng.u8(..6) {
        0 => (
            "type",
            shdr::TYPE,
            pick(rng, &[sht::NULL, sht::NOBITS])?.into(),
        ),
        1 => (
            "alignment",
            shdr::ALIGN,
            pick(rng, &[3, 6, 12, 1 << 31, 1 << 40, 1 << 63])?,
        ),
        2 => ("alignment", shdr::ALIGN, near(rng, section.align)),
        3 => ("size", shdr::SIZE, near(rng, 1 << 32)),
        4 => ("flags", shdr::FLAGS, section.flags ^ shf::ALLOC),
        _ => ("name", shdr::NAME, near(rng, 1 << 20)),
    };
    // A size that is none of the file's is for those that are not in it.
    if matches!(name, "size") && rng.bool() {
        set(file, index, "type", shdr::TYPE, sht::NOBITS.into())?;
    }
    set(file, index, name, field, value)
}

/// What is freed, or would be, becomes a note, by a name that may keep it in memory. Of other sections
/// the kernel knows some by their names, and modules do not work without them.
fn note(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let sections = file.sections().into_iter().enumerate();
    let freed: Vec<usize> = sections
        .filter(|(_, section)| {
            let name = file.section_name(section).unwrap_or_default();
            section.sh_type == sht::PROGBITS && is_freed(name)
        })
        .map(|(index, _)| index)
        .collect();
    let index = pick(rng, &freed)?;
    let names = [".init.n", ".exit", ".initial", ".note.init", "init"];
    let name = pick(rng, &names)?;
    let offset = file.add_string(base.shstrtab, name.as_bytes())?;
    set(file, index, "name", shdr::NAME, offset)?;
    set(file, index, "type", shdr::TYPE, sht::NOTE.into())?;
    Some(format!("section {index} is a note called {name}"))
}

/// Where relocations of the kernel's own are: the index of the section, and its header.
fn ordinary(file: &File, rng: &mut Rng) -> Option<(usize, Section)> {
    let sections = file.sections();
    let all: Vec<(usize, Section)> = sections
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, section)| {
            let target = sections.get(section.info as usize);
            section.sh_type == sht::RELA
                && section.flags & shf::LIVEPATCH == 0
                && target.is_some_and(|target| target.flags & shf::ALLOC != 0)
        })
        .collect();
    pick(rng, &all)
}

/// The place or the symbol of a relocation that the kernel itself applies.
fn ordinary_relocation(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, section) = ordinary(file, rng)?;
    let nr = rng.usize(..file.entries(&section, RELA).max(1));
    let at = usize::try_from(section.offset).ok()? + nr * RELA;
    let table = file.section(base.symtab)?;
    let what = match rng.u8(..3) {
        0 => {
            let count = file.entries(&table, SYM) as u64;
            let value = near(rng, count) & 0xffff_ffff;
            set_half(file, at, true, value)?;
            format!("symbol {value}")
        }
        1 => {
            let size = file.section(section.info as usize)?.size;
            let value = near(rng, size);
            file.put(at, rela::OFFSET, value)?;
            format!("offset {value:#x}")
        }
        _ => {
            // Its symbol is in a section that is not kept.
            let symbol = file.relocations(&section).get(nr)?.symbol;
            let kept = |index: usize| {
                file.section(index)
                    .is_some_and(|section| section.flags & shf::ALLOC != 0)
            };
            let (_, count) = file.table();
            let gone: Vec<usize> = (1..count).filter(|&index| !kept(index)).collect();
            let value = pick(rng, &gone)? as u64;
            file.put(symbol_at(file, base, symbol as usize)?, sym::SHNDX, value)?;
            format!("symbol {symbol} is in section {value}")
        }
    };
    Some(format!("section {index}, relocation {nr}, {what}"))
}

/// Relocations of the kernel's own that change the symbols or their names.
fn ordinary_target(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (index, _) = ordinary(file, rng)?;
    let target = pick(rng, &[base.symtab, base.strtab])? as u64;
    set(file, index, "info", shdr::INFO, target)
}

/// The kernel's record of the module: its bytes, or where it is kept.
fn record(file: &mut File, _base: &Base, rng: &mut Rng) -> Option<String> {
    let sections = file.sections();
    let index = sections
        .iter()
        .position(|section| file.section_name(section) == Some(b".gnu.linkonce.this_module"))?;
    let section = sections.get(index)?;
    match rng.u8(..8) {
        0 | 1 => {
            let flags = section.flags ^ pick(rng, &[shf::WRITE, shf::EXECINSTR])?;
            return set(file, index, "flags", shdr::FLAGS, flags);
        }
        2 => return set(file, index, "alignment", shdr::ALIGN, 1 << rng.u8(..4)),
        _ => {}
    }
    let name = usize::try_from(section.offset).ok()?.checked_add(24)?;
    let (start, end) = match rng.u8(..3) {
        0 => (name, name + 2),
        1 => (name, name + 56),
        _ => extent(file, index)?,
    };
    noise(file, start, end, rng)
}

/// The header of the section that is none.
fn section_zero(file: &mut File, _base: &Base, rng: &mut Rng) -> Option<String> {
    let (name, field) = pick(rng, &[("name", shdr::NAME), ("flags", shdr::FLAGS)])?;
    let value = near(rng, 2);
    set(file, 0, name, field, value)
}

/// The symbol that is none.
fn symbol_zero(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let at = symbol_at(file, base, 0)?;
    let value = some_shndx(file, rng)?;
    file.put(at, sym::SHNDX, value.into())?;
    Some(format!("symbol 0, section index {value:#x}"))
}

/// A section that lies over what the kernel goes on reading in the file.
fn section_over(file: &mut File, base: &Base, rng: &mut Rng) -> Option<String> {
    let (start, count) = file.table();
    let index = rng.usize(1..count.max(2));
    let places = [
        start as u64,
        file.section(base.symtab)?.offset,
        file.section(base.strtab)?.offset,
        file.section(base.shstrtab)?.offset,
    ];
    let value = pick(rng, &places)?;
    set(file, index, "offset", shdr::OFFSET, value)
}
