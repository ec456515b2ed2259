// SPDX-License-Identifier: GPL-2.0

//! The symbols of a target module.
//!
//! A loaded module keeps those that are defined in sections which stay in memory
//! (`is_core_symbol()` in `kernel/module/kallsyms.c` of the kernel source), without
//! `CONFIG_KALLSYMS_ALL` only those in sections of code, and counts positions in the order of its
//! symbol table. While it is being loaded, it has them all.

use super::{Candidate, Kind, ObjectSymbols};
use crate::file::elf::{ElfFile, Place};
use crate::file::module_file::name_of_file;
use crate::object_name::ObjectNameBuf;
use anyhow::{anyhow, ensure, Context, Result};
use livepatch_format::elf::Machine;
use livepatch_format::modinfo;
use object::elf;
use std::path::Path;
use std::sync::Arc;

impl ObjectSymbols {
    /// Reads the symbols of a target module for `machine`, and for a kernel with or without
    /// `CONFIG_KALLSYMS_ALL`: `data` is what the file at `path` holds, unpacked.
    ///
    /// # Errors
    ///
    /// It is no module, or one for another machine.
    pub fn of_module(
        path: &Path,
        data: &[u8],
        machine: Machine,
        functions_only: bool,
    ) -> Result<Self> {
        let read = || {
            let file = ElfFile::parse(data)?;
            ensure!(
                file.machine == machine,
                "it is a module for another machine"
            );
            let mut symbols = ObjectSymbols::new(module_name(&file, path)?, path.to_owned());
            symbols.functions_only = functions_only;
            collect(&mut symbols, &file)?;
            Ok(symbols)
        };
        read().with_context(|| format!("cannot read the target module {}", path.display()))
    }
}

/// The name under which the kernel knows the module: what it says of itself, else its file's.
fn module_name(file: &ElfFile, path: &Path) -> Result<ObjectNameBuf> {
    let name = file
        .bytes(".modinfo")
        .and_then(|bytes| modinfo::value(bytes, b"name"))
        .map_or_else(|| name_of_file(path).into_bytes(), <[u8]>::to_vec);
    ObjectNameBuf::new(&name).map_err(|fault| anyhow!("{}: {fault}", name.escape_ascii()))
}

fn collect(symbols: &mut ObjectSymbols, file: &ElfFile) -> Result<()> {
    let mut source = None;
    for (_, symbol) in file.symbols() {
        if symbol.info.st_type() == elf::STT_FILE {
            source = (!symbol.name.is_empty())
                .then(|| Arc::from(symbol.name.escape_ascii().to_string()));
            continue;
        }
        if symbol.name.is_empty() || symbol.place == Place::Undefined {
            continue;
        }
        let section = match symbol.place {
            Place::Section(index) => Some(file.section(index)?),
            _ => None,
        };
        symbols.add_exports(std::iter::once(&symbol.name[..]));
        let is_init = section.is_some_and(|section| section.name.starts_with(b".init"));
        let stays = section.filter(|section| {
            let is_listed = section.is_code() || !symbols.functions_only;
            section.is_alloc() && is_listed && !is_init
        });
        match stays {
            Some(section) => symbols.push(
                &symbol.name[..],
                Candidate {
                    address: symbol.value,
                    kind: Kind::from(symbol.info.st_type()),
                    section: Some(section.display_name().into()),
                    file: source.clone().filter(|_| !symbol.is_global()),
                    global: symbol.is_global(),
                },
            ),
            None => {
                if is_init && section.is_some_and(|section| section.is_alloc()) {
                    symbols.init.insert(symbol.name.clone());
                }
                symbols.while_loading.insert(symbol.name.clone());
            }
        }
    }
    Ok(())
}
