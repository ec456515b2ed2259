// SPDX-License-Identifier: GPL-2.0

//! The kernel's own symbols: from `System.map`, from text as in `/proc/kallsyms`, or from a
//! `vmlinux`.
//!
//! `scripts/mksysmap` and `scripts/kallsyms.c` of the kernel source say which symbols kallsyms
//! has, and in which order: by address. `System.map` is written from the same list.

use super::{kind, Candidate, ObjectSymbols};
use crate::object_name::ObjectNameBuf;
use anyhow::{bail, ensure, Context, Result};
use livepatch_format::elf::Machine;
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};
use object::Endianness;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What the names of symbols in a vmlinux start with that kallsyms leaves out.
const LEFT_OUT: [&[u8]; 7] = [
    b".L",
    b"$",
    b"__crc_",
    b"__efistub_",
    b"__kcfi_typeid_",
    b"__kstrtab",
    b"__mod_device_table__",
];

impl ObjectSymbols {
    /// Reads the symbols of a kernel for `machine`.
    pub fn of_kernel(path: &Path, machine: Machine) -> Result<Self> {
        let read = || {
            let data = fs::read(path)?;
            let mut symbols = ObjectSymbols::new(ObjectNameBuf::vmlinux(), path.to_owned());
            if data.starts_with(&elf::ELFMAG) {
                from_vmlinux(&mut symbols, &data, machine)?;
            } else {
                from_text(&mut symbols, &data)?;
            }
            ensure!(!symbols.is_empty(), "it holds no symbols");
            Ok(symbols)
        };
        read().with_context(|| format!("cannot read the kernel's symbols from {}", path.display()))
    }
}

/// What `/proc/kallsyms` says: the kernel's symbols, and those of every module that is loaded.
pub fn of_running(path: &Path) -> Result<(ObjectSymbols, Vec<ObjectSymbols>)> {
    let read = || {
        let data = fs::read(path)?;
        let mut symbols = ObjectSymbols::new(ObjectNameBuf::vmlinux(), path.to_owned());
        from_text(&mut symbols, &data)?;
        ensure!(!symbols.is_empty(), "it holds no symbols");
        Ok((symbols, of_modules(path, &data)))
    };
    read().with_context(|| format!("cannot read the kernel's symbols from {}", path.display()))
}

/// Lines that go on with a module's name, which were checked before.
fn of_modules(path: &Path, data: &[u8]) -> Vec<ObjectSymbols> {
    let mut modules: BTreeMap<ObjectNameBuf, ObjectSymbols> = BTreeMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let words: Vec<_> = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .collect();
        let [address, &[kind], name, module] = words[..] else {
            continue;
        };
        let module = module
            .strip_prefix(b"[")
            .and_then(|rest| rest.strip_suffix(b"]"));
        let Some(Ok(object)) = module.map(ObjectNameBuf::new) else {
            continue;
        };
        let address = std::str::from_utf8(address).ok();
        let candidate = Candidate {
            address: address
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .unwrap_or(0),
            kind: char::from(kind).to_string(),
            section: None,
            file: None,
            global: kind.is_ascii_uppercase(),
        };
        modules
            .entry(object.clone())
            .or_insert_with(|| ObjectSymbols::new(object, path.to_owned()))
            .push(name, candidate);
    }
    modules.into_values().collect()
}

/// Lines of address, type letter and name. In `/proc/kallsyms`, those of a module go on with
/// its name in brackets.
fn from_text(symbols: &mut ObjectSymbols, data: &[u8]) -> Result<()> {
    for (number, line) in (1..).zip(data.split(|&byte| byte == b'\n')) {
        let mut words = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let (address, kind, name, module) = match (
            words.next(),
            words.next(),
            words.next(),
            words.next(),
            words.next(),
        ) {
            (None, ..) => continue,
            (Some(address), Some(&[kind]), Some(name), module, None) => {
                (address, char::from(kind), name, module)
            }
            _ => bail!("line {number} is not ADDRESS TYPE NAME: {}", shorten(line)),
        };
        let address = std::str::from_utf8(address)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .with_context(|| {
                format!(
                    "line {number} has no hexadecimal address: {}",
                    shorten(line)
                )
            })?;
        match module {
            None if !"aNUw".contains(kind) => symbols.push(
                name,
                Candidate {
                    address,
                    kind: kind.to_string(),
                    section: None,
                    file: None,
                    global: kind.is_ascii_uppercase(),
                },
            ),
            // Kallsyms leaves these out.
            None => {}
            Some(module) if module.starts_with(b"[") => {}
            Some(_) => bail!("line {number} is not ADDRESS TYPE NAME: {}", shorten(line)),
        }
    }
    Ok(())
}

fn shorten(line: &[u8]) -> String {
    line.get(..60).unwrap_or(line).escape_ascii().to_string()
}

fn from_vmlinux(symbols: &mut ObjectSymbols, data: &[u8], machine: Machine) -> Result<()> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    ensure!(
        Machine::try_from(header.e_machine(endian).0) == Ok(machine),
        "it is a kernel for another machine"
    );
    ensure!(
        header.e_type(endian) != elf::ET_REL,
        "it is a module, not a kernel"
    );
    let sections = header.sections(endian, data)?;
    let table = sections.symbols(endian, data, elf::SHT_SYMTAB)?;
    ensure!(
        !table.is_empty(),
        "it has no symbol table: use the vmlinux of the build directory"
    );

    let mut file = None;
    let mut found = Vec::new();
    for (index, symbol) in table.enumerate() {
        let name = table.symbol_name(endian, symbol)?;
        match symbol.st_type() {
            elf::STT_FILE => {
                file = (!name.is_empty()).then(|| name.escape_ascii().to_string());
                continue;
            }
            elf::STT_SECTION => continue,
            _ => {}
        }
        let global = symbol.st_bind() != elf::STB_LOCAL;
        let section = match table.symbol_section(endian, symbol, index)? {
            Some(index) => {
                let section = sections.section(index)?;
                if !section.sh_flags(endian).contains(elf::SHF_ALLOC) {
                    continue;
                }
                Some(
                    sections
                        .section_name(endian, section)?
                        .escape_ascii()
                        .to_string(),
                )
            }
            None if global && symbol.st_shndx(endian) == elf::SHN_ABS => None,
            None => continue,
        };
        if name.is_empty() || LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        found.push((
            name,
            Candidate {
                address: symbol.st_value(endian),
                kind: kind(symbol.st_type()).to_owned(),
                section,
                // Global symbols stand after all files.
                file: file.clone().filter(|_| !global),
                global,
            },
        ));
    }
    found.sort_by_key(|(_, candidate)| candidate.address);
    for (name, candidate) in found {
        symbols.push(name, candidate);
    }
    Ok(())
}
