// SPDX-License-Identifier: GPL-2.0

//! What is known of the kernel and of the modules that a patch is for: what `klp convert` looks
//! symbols up in, and `klp lint` checks a patch against.

use crate::callsites::CallSites;
use crate::debug_info::{self, DebugInfo, Parameter};
use crate::file::kernel::Kernel;
use crate::file::module::Module;
use crate::file::module_file::ModuleFile;
use crate::object_name::ObjectNameBuf;
use crate::similar::{self, similar};
use crate::symbols::{Candidate, ObjectSymbols};
use crate::symvers::Symvers;
use crate::vermagic::Vermagic;
use anyhow::{bail, Context, Result};
use livepatch_format::elf::{Machine, SectionIndex};
use livepatch_format::init::InitMemory;
use livepatch_format::name::{ObjectName, SymPos};
use livepatch_format::refusal::Unresolved;
use livepatch_format::search::Search;
use livepatch_kernel::{Image, Memory};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What is known of one object.
pub struct Known {
    /// Its symbols.
    pub symbols: ObjectSymbols,
    /// Where ftrace can redirect its functions; `None` where that is not known.
    pub sites: Option<CallSites>,
    /// What the object is loaded from.
    file: File,
    /// Whether its symbols' addresses are known.
    has_addresses: bool,
    /// Where its init code and data are; `None` for a module, or where that is not known.
    init: Option<InitMemory>,
}

/// What an object is loaded from.
enum File {
    /// It is not known.
    None,
    /// A `vmlinux` or a boot image.
    Kernel(Image),
    /// The file of a module, unpacked.
    Module(Vec<u8>),
}

/// Everything that is known.
#[derive(Default)]
pub struct Knowledge {
    /// By name.
    pub objects: BTreeMap<ObjectNameBuf, Known>,
    /// What the kernel wants its modules to be built for.
    pub vermagic: Option<Vermagic>,
    /// What is exported.
    pub symvers: Option<Symvers>,
}

impl Known {
    fn new(symbols: ObjectSymbols) -> Self {
        let has_addresses = symbols.all().any(|candidate| candidate.address != 0);
        let init = InitMemory::find(|name| match symbols.get(name.to_bytes()) {
            [only] if has_addresses => Some(only.address),
            _ => None,
        });
        Known {
            init: init.filter(|_| symbols.object.is_vmlinux()),
            symbols,
            sites: None,
            file: File::None,
            has_addresses,
        }
    }

    /// A kernel's memory, as it is linked; `None` for a module and where it is not known.
    pub fn memory(&self) -> Option<&Memory> {
        match &self.file {
            File::Kernel(image) => Some(&image.memory),
            _ => None,
        }
    }

    /// A module's file, unpacked; `None` for a kernel and where it is not known.
    pub fn module(&self) -> Option<&[u8]> {
        match &self.file {
            File::Module(data) => Some(data),
            _ => None,
        }
    }

    /// The ELF file that may have debug information.
    fn elf(&self) -> Option<&[u8]> {
        match &self.file {
            // What a boot image unpacks to is stripped.
            File::Kernel(image) if image.packed.is_none() => image.memory.elf(),
            File::Module(data) => Some(data),
            _ => None,
        }
    }

    /// The symbol at a position, as the kernel counts.
    ///
    /// # Errors
    ///
    /// What the kernel says where it finds none.
    pub fn find<'k, 'a>(
        &'k self,
        object: ObjectName<'a>,
        name: &'a [u8],
        position: SymPos,
    ) -> Result<&'k Candidate, Unresolved<'a>> {
        let mut search = Search::new(position);
        for candidate in self.symbols.get(name) {
            if search.saw(candidate).is_break() {
                break;
            }
        }
        match search.result(object, name) {
            Ok(found) if self.is_freed(name, found) => Err(Unresolved::Freed {
                symbol: name,
                object,
            }),
            Err(Unresolved::NotFound { symbol }) if self.symbols.is_init(symbol) => {
                Err(Unresolved::Freed { symbol, object })
            }
            result => result,
        }
    }

    /// Whether a symbol of the kernel is of its init code and data.
    fn is_freed(&self, name: &[u8], found: &Candidate) -> bool {
        let init = self.init.as_ref();
        init.is_some_and(|init| init.frees(name, found.address))
    }

    /// Names that are nearly the same, in words.
    pub fn similar(&self, name: &[u8]) -> Option<String> {
        let names = similar(name, std::iter::once(&self.symbols));
        similar::shown(&names)
    }

    /// Whether two symbols of the object are one.
    pub fn is_same(&self, one: &Candidate, other: &Candidate) -> bool {
        self.has_addresses && one.address == other.address && one.section == other.section
    }

    /// For each of these functions, by its index, the functions that have a copy of it; `None`
    /// without debug information.
    ///
    /// # Errors
    ///
    /// The debug information is damaged.
    pub fn copies(&self, functions: &[&Candidate]) -> Result<Option<Vec<BTreeSet<String>>>> {
        self.ask(functions, |info, addresses| {
            let mut copies = info.copies(&addresses.iter().copied().collect())?;
            let each = addresses.iter();
            Ok(each
                .map(|address| copies.remove(address).unwrap_or_default())
                .collect())
        })
    }

    /// The functions that have a copy of the one that is called `name`, which is not compiled on
    /// its own; `None` without debug information.
    ///
    /// # Errors
    ///
    /// The debug information is damaged.
    pub fn copies_of(&self, name: &str) -> Result<Option<BTreeSet<String>>> {
        self.ask(&[], |info, _| info.copies_of(name))
    }

    /// The parameters of a function; `None` where no debug information tells them.
    ///
    /// # Errors
    ///
    /// The debug information is damaged.
    pub fn parameters(&self, function: &Candidate) -> Result<Option<Vec<Parameter>>> {
        let parameters = self.ask(&[function], |info, addresses| match addresses {
            [address] => info.parameters(*address),
            _ => Ok(None),
        })?;
        Ok(parameters.flatten())
    }

    /// The symbols, each with its source file where debug information tells that: with directories
    /// then. Symbols by themselves tell no directories, and nothing of what is not static.
    pub fn with_files(&self, mut symbols: Vec<Candidate>) -> Vec<Candidate> {
        let all: Vec<_> = symbols.iter().collect();
        let files = self.ask(&all, |info, addresses| {
            let mut files = info.files(&addresses.iter().copied().collect())?;
            let each = addresses.iter();
            Ok(each
                .map(|address| files.remove(address))
                .collect::<Vec<_>>())
        });
        // What cannot be read tells nothing.
        for (symbol, file) in symbols
            .iter_mut()
            .zip(files.ok().flatten().unwrap_or_default())
        {
            symbol.file = file.map(Arc::from).or(symbol.file.take());
        }
        symbols
    }

    /// The source files of symbols, as far as they are known: by debug information, by the symbols
    /// before and after them where both are of one file, or by themselves.
    pub fn files_of(&self, symbols: Vec<Candidate>) -> Vec<Option<Arc<str>>> {
        let symbols = self.with_files(symbols).into_iter();
        symbols
            .map(|symbol| symbol.file.clone().or_else(|| self.file_around(&symbol)))
            .collect()
    }

    /// The file of the symbols before and after this one: what is of one file stands together.
    fn file_around(&self, symbol: &Candidate) -> Option<Arc<str>> {
        let others = || {
            let all = self
                .symbols
                .all()
                .filter(|other| other.section == symbol.section);
            all.filter_map(|other| Some((other.address, other.file.as_ref()?)))
        };
        let before = others().filter(|(address, _)| *address < symbol.address);
        let after = others().filter(|(address, _)| *address > symbol.address);
        let (_, before) = before.max_by_key(|(address, _)| *address)?;
        let (_, after) = after.min_by_key(|(address, _)| *address)?;
        (self.has_addresses && before == after).then(|| before.clone())
    }

    /// Asks the debug information, which knows these symbols by the addresses that go with them;
    /// `None` where there is none.
    fn ask<R>(
        &self,
        symbols: &[&Candidate],
        question: impl FnOnce(&DebugInfo<'_>, &[u64]) -> Result<R>,
    ) -> Result<Option<R>> {
        let Some(data) = self.elf() else {
            return Ok(None);
        };
        let (info, addresses): (_, Vec<u64>) = if self.symbols.object.is_vmlinux() {
            let addresses = symbols.iter().map(|symbol| symbol.address);
            (DebugInfo::of_vmlinux(data)?, addresses.collect())
        } else {
            let module = Module::parse(data)?;
            let index = |symbol: &Candidate| {
                let mut all = module.sections();
                let name = symbol.section.as_deref().unwrap_or_default();
                all.find(|(_, _, found)| found.escape_ascii().to_string() == name)
                    .map_or(SectionIndex(0), |(index, ..)| index)
            };
            let addresses = symbols
                .iter()
                .map(|symbol| debug_info::address(index(symbol), symbol.address));
            let addresses = addresses.collect();
            (DebugInfo::of_module(&module), addresses)
        };
        info.map(|info| question(&info, &addresses)).transpose()
    }
}

impl Knowledge {
    /// What is known of an object.
    pub fn get(&self, object: &[u8]) -> Option<&Known> {
        self.objects.get(&ObjectNameBuf::new(object).ok()?)
    }

    /// The symbols of all objects, those of the kernel first.
    pub fn all(&self) -> impl Iterator<Item = &ObjectSymbols> {
        self.known().map(|known| &known.symbols)
    }

    /// All objects, the kernel first.
    pub fn known(&self) -> impl Iterator<Item = &Known> {
        let known = |is_kernel| {
            let all = self.objects.values();
            all.filter(move |known| known.symbols.object.is_vmlinux() == is_kernel)
        };
        known(true).chain(known(false))
    }

    /// The symbols of the modules.
    pub fn targets(&self) -> impl Iterator<Item = &ObjectSymbols> {
        self.all().filter(|symbols| !symbols.object.is_vmlinux())
    }

    /// The module, or `vmlinux`, that exports a symbol, as a `Module.symvers` says.
    pub fn exporter(&self, symbol: &[u8]) -> Option<&str> {
        self.symvers.as_ref()?.exporter(symbol)
    }

    /// Adds what a `Module.symvers` says.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn add_symvers(&mut self, path: &Path) -> Result<()> {
        self.symvers.get_or_insert_with(Symvers::default).read(path)
    }

    /// What is known of the kernel itself.
    pub fn kernel(&self) -> Option<&Known> {
        self.objects.get(&ObjectNameBuf::vmlinux())
    }

    fn add(&mut self, known: Known) {
        self.objects.insert(known.symbols.object.clone(), known);
    }

    /// Reads a kernel: a boot image, a `vmlinux` or a list of symbols.
    pub fn add_kernel(&mut self, path: &Path, machine: Machine) -> Result<()> {
        let kernel = Kernel::read(path, machine)?;
        let sites = CallSites::of_kernel(&kernel);
        self.vermagic = Vermagic::of_kernel(&kernel);
        let (symbols, image) = kernel.into_parts();
        self.add(Known {
            sites,
            file: image.map_or(File::None, File::Kernel),
            ..Known::new(symbols)
        });
        Ok(())
    }

    /// Looks at the running kernel, whose files are under `root`.
    pub fn add_running(&mut self, root: &Path) -> Result<()> {
        let (kernel, modules) = Kernel::running(&root.join("proc/kallsyms"))?;
        let release = root.join("proc/sys/kernel/osrelease");
        let text =
            fs::read(&release).with_context(|| format!("cannot read {}", release.display()))?;
        let text = text.trim_ascii_end().to_vec();
        let directory = String::from_utf8_lossy(&text).into_owned();
        let directory = root.join("lib/modules").join(directory);
        self.vermagic = Some(match vermagic_below(&directory, &text) {
            Some(whole) => Vermagic::Whole(whole),
            None => Vermagic::Release(text),
        });
        // Only root can read it, and see addresses.
        let sites = root.join("sys/kernel/tracing/available_filter_functions_addrs");
        let sites = fs::read(sites).ok();
        for symbols in std::iter::once(kernel.symbols).chain(modules) {
            let mut known = Known::new(symbols);
            if known.has_addresses {
                known.sites = sites.as_deref().map(CallSites::of_running);
            }
            self.add(known);
        }
        Ok(())
    }

    /// Reads a target module. It counts more than what a running kernel has of that name.
    pub fn add_module(
        &mut self,
        path: &Path,
        machine: Machine,
        given: &mut BTreeSet<ObjectNameBuf>,
    ) -> Result<()> {
        let kernel = self.kernel();
        let functions_only = kernel.is_some_and(|known| known.symbols.functions_only);
        let data = ModuleFile::read(path)?.bytes;
        let symbols = ObjectSymbols::of_module(path, &data, machine, functions_only)?;
        if !given.insert(symbols.object.clone()) {
            let other = self.objects.get(&symbols.object);
            let other = other.map_or(path, |known| &known.symbols.source);
            bail!(
                "{} and {} are both called {}",
                other.display(),
                path.display(),
                symbols.object
            );
        }
        let sites = CallSites::of_module(&Module::parse(&data)?);
        let mut known = Known::new(symbols);
        known.has_addresses = true;
        known.sites = Some(sites);
        known.file = File::Module(data);
        self.add(known);
        Ok(())
    }
}

/// What one of the running kernel's modules is built for.
fn vermagic_below(directory: &Path, release: &[u8]) -> Option<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths.into_iter().find_map(|path| {
        // What a symbolic link leads to is not the kernel's own.
        if path.symlink_metadata().ok()?.is_dir() {
            return vermagic_below(&path, release);
        }
        if !path.file_name()?.to_str()?.contains(".ko") {
            return None;
        }
        let file = ModuleFile::read(&path).ok()?;
        let found = file.info(b"vermagic")?;
        found.starts_with(release).then(|| found.to_vec())
    })
}
