// SPDX-License-Identifier: GPL-2.0

//! A kernel, as far as a file tells of it.
//!
//! | | |
//! | --- | --- |
//! | [`list`] | a list of symbols: `System.map`, `/proc/kallsyms` |
//! | [`vmlinux`] | the symbol table of a `vmlinux` |
//!
//! A `vmlinux` and a boot image, which the crate `livepatch-kernel` reads, have the list by which
//! the kernel itself finds symbols. What that does not have, livepatch does not find either, and
//! positions are counted in its order; the symbol table of a `vmlinux` adds what symbols are and
//! which file defines them.

mod list;
mod vmlinux;

use crate::object_name::ObjectNameBuf;
use crate::symbols::{Candidate, Kind, ObjectSymbols};
use anyhow::{anyhow, bail, ensure, Context, Result};
use livepatch_format::elf::Machine;
use livepatch_kernel::kallsyms::{self, Kallsyms};
use livepatch_kernel::{Error, Image};
use object::elf;
use std::fs;
use std::path::Path;

/// What tells of a kernel.
const GIVE: &str = "give its System.map or vmlinux (those of the build directory), its boot image \
                    (/boot/vmlinuz-RELEASE), or, where it runs, /proc/kallsyms";

/// A kernel.
#[derive(Debug)]
pub struct Kernel {
    /// The symbols that livepatch finds in it.
    pub symbols: ObjectSymbols,
    /// What it is loaded from; `None` where there is only a list of symbols.
    image: Option<Image>,
}

impl Kernel {
    /// Reads a kernel for `machine`: a boot image, a `vmlinux`, or a list of symbols.
    ///
    /// # Errors
    ///
    /// It cannot be read, is for another machine, or tells no symbols.
    pub fn read(path: &Path, machine: Machine) -> Result<Self> {
        let read = || Kernel::parse(fs::read(path)?, path, machine);
        read().with_context(|| format!("cannot read the kernel's symbols from {}", path.display()))
    }

    /// The same of what the file at `path` holds.
    ///
    /// # Errors
    ///
    /// It is for another machine, damaged, or tells no symbols.
    pub fn parse(data: Vec<u8>, path: &Path, machine: Machine) -> Result<Self> {
        let mut symbols = ObjectSymbols::new(ObjectNameBuf::vmlinux(), path.to_owned());
        let mut image = None;
        if data.starts_with(&elf::ELFMAG) || Image::is_boot_image(&data) {
            let read = Image::read(data)?;
            ensure!(
                read.memory.machine == machine,
                "it is a kernel for another machine"
            );
            from_image(&mut symbols, &read)?;
            image = Some(read);
        } else {
            list::read(&mut symbols, path, &data)?;
        }
        ensure!(!symbols.is_empty(), "it holds no symbols: {GIVE}");
        Ok(Kernel { symbols, image })
    }

    /// What `/proc/kallsyms` says: the kernel's symbols, and those of every module that is loaded.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn running(path: &Path) -> Result<(Self, Vec<ObjectSymbols>)> {
        let kernel = Kernel::read(path, Machine::NATIVE.unwrap_or(Machine::X86_64))?;
        let modules = list::modules(path, &fs::read(path)?);
        Ok((kernel, modules))
    }

    /// The address of a symbol that stands once.
    pub fn address(&self, name: &[u8]) -> Option<u64> {
        match self.symbols.get(name) {
            [only] => Some(only.address),
            _ => None,
        }
    }

    /// `size` bytes of the kernel's code or data as it is linked, before the kernel changes
    /// anything; `None` where they are not known.
    pub fn bytes(&self, address: u64, size: u64) -> Option<&[u8]> {
        self.image.as_ref()?.memory.bytes(address, size)
    }

    /// The string at an address, without the 0 that ends it.
    pub fn string(&self, address: u64) -> Option<&[u8]> {
        let bytes = self.image.as_ref()?.memory.from(address)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        bytes.get(..end)
    }

    /// Whose code it is, where that is known.
    pub fn machine(&self) -> Option<Machine> {
        self.image.as_ref().map(|image| image.memory.machine)
    }

    /// Its symbols, and what it is loaded from.
    pub fn into_parts(self) -> (ObjectSymbols, Option<Image>) {
        (self.symbols, self.image)
    }
}

fn from_image(symbols: &mut ObjectSymbols, image: &Image) -> Result<()> {
    let table = match image.memory.elf().filter(|_| image.packed.is_none()) {
        Some(elf) => vmlinux::table(elf)?,
        None => Vec::new(),
    };
    match Kallsyms::find(&image.memory) {
        Ok(listed) => {
            symbols.functions_only = !listed.has_variables();
            vmlinux::merge(symbols, listed, &table);
        }
        // Then the kernel finds nothing by name. That is not for us to say.
        // What a headers package has as vmlinux names some of its type information, and no code.
        Err(Error::NoKallsyms) if table.iter().any(|(_, one)| one.kind == Kind::Function) => {
            for (name, candidate) in table {
                symbols.push(name, candidate);
            }
        }
        Err(Error::NoKallsyms) if image.packed.is_none() => bail!(
            "it is a vmlinux without symbols, as in the headers package of a distribution, which \
             is for type information only: {GIVE}"
        ),
        Err(error) => return Err(anyhow!("{error}: {GIVE}")),
    }
    Ok(())
}

/// A symbol of which its address and its letter are known.
fn listed(address: u64, kind: u8) -> Candidate {
    Candidate {
        address,
        kind: Kind::Letter(kind),
        section: None,
        file: None,
        global: kind.is_ascii_uppercase(),
    }
}

/// Whether a list of symbols has variables.
fn has_variables<'a>(mut symbols: impl Iterator<Item = (u8, &'a [u8])>) -> bool {
    symbols.any(|(kind, name)| kallsyms::is_variable(kind, name))
}
