// SPDX-License-Identifier: GPL-2.0

//! ELF information of modules: as the loader has it while it loads one, and as it is kept.

use super::module::{Module, ModuleId};
use super::{arch, bindings, symbols, Address};
use crate::format::elf::{
    Endian, Relocation, RelocationTable, Section, SectionIndex, SectionTable, StringTable, Symbol,
    SymbolIndex, SymbolTable, SHDR_SIZE, SHT_NOBITS, SHT_NULL, SHT_SYMTAB,
};
use crate::format::{self, check, reloc};
use core::mem::size_of;
use core::ptr::NonNull;
use core::slice;
use kernel::prelude::*;

/// The loader's private copy of a file that is about to be loaded; nothing of it was checked.
///
/// # Safety
///
/// `header` must be what the loader passes to `module_elf_check_arch()`.
pub(super) unsafe fn file_copy<'a>(header: *mut bindings::elf64_hdr) -> Option<&'a mut [u8]> {
    // SAFETY: It looks any address up.
    let area = NonNull::new(unsafe { symbols::find_vm_area(header.cast_const().cast()) })?;
    // SAFETY: The area holds the copy, which the loader keeps, and nobody else uses, during the
    // call. Its size counts the guard page, unless it has none.
    unsafe {
        let area = area.as_ref();
        let guard = if area.flags & bindings::LP_VM_NO_GUARD == 0 {
            bindings::LP_PAGE_SIZE
        } else {
            0
        };
        // The last page may be used in part only.
        let mut length = area.size.checked_sub(guard)?;
        if area.requested_size != 0 {
            length = length.min(area.requested_size);
        }
        let offset = (header as usize).checked_sub(area.addr as usize)?;
        Some(slice::from_raw_parts_mut(
            header.cast(),
            length.checked_sub(offset)?,
        ))
    }
}

/// The bytes of a slice of plain C structures.
fn bytes_of<T: PlainData>(items: &[T]) -> &[u8] {
    // SAFETY: `PlainData` has no padding, and any byte may be read.
    unsafe { slice::from_raw_parts(items.as_ptr().cast(), size_of_val(items)) }
}

/// Structures without padding whose bytes are all there is to them.
///
/// # Safety
///
/// To be implemented for such structures only.
unsafe trait PlainData: Copy {}
// SAFETY: Sixty-four bytes of integers, without gaps.
unsafe impl PlainData for bindings::elf64_shdr {}
// SAFETY: Twenty-four bytes of integers, without gaps.
unsafe impl PlainData for bindings::elf64_sym {}

/// As many items as `bytes` holds, wherever it lies.
fn copy_of<T: PlainData + Default>(bytes: &[u8]) -> Result<KVVec<T>> {
    let count = bytes.len() / size_of::<T>();
    let mut items = KVVec::new();
    if count != 0 {
        items.extend_with(count, T::default(), GFP_KERNEL)?;
        // SAFETY: `count` items were just made, and fit in `bytes`; any bytes are an item.
        unsafe {
            core::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                items.as_mut_ptr().cast::<u8>(),
                count * size_of::<T>(),
            )
        };
    }
    Ok(items)
}

/// A module that the loader is putting together: everything is in its place and relocated, but
/// for what livepatch has to relocate.
///
/// # Invariants
///
/// The loader is in `module_finalize()` for this module during `'a`: `sections` are its headers, with
/// `sh_addr` where each section with contents is.
pub(crate) struct Loading<'a> {
    /// The section headers. They lie where the file has them, which need not be aligned.
    sections: &'a [u8],
    names: SectionIndex,
    module: Module<'a>,
    is_native: bool,
}

impl<'a> Loading<'a> {
    /// # Safety
    ///
    /// The arguments must be those that the loader passes to `module_finalize()`, and `'a` must
    /// end when that returns.
    pub(super) unsafe fn from_raw(
        header: *const bindings::elf64_hdr,
        sections: *const bindings::elf64_shdr,
        module: NonNull<bindings::module>,
    ) -> Self {
        // SAFETY: The caller passes what the loader does, for as long as that needs it: it has checked
        // the header, there are as many section headers as that says, and the module is there.
        // INVARIANT: The caller says that this is such a call, and that `'a` ends with it.
        unsafe {
            Loading {
                sections: slice::from_raw_parts(
                    sections.cast(),
                    usize::from((*header).e_shnum) * SHDR_SIZE,
                ),
                names: SectionIndex((*header).e_shstrndx.into()),
                module: Module::from_raw(module),
                is_native: Endian::of_header(&(*header).e_ident) == Some(Endian::NATIVE),
            }
        }
    }

    /// The module.
    pub(crate) fn module(&self) -> Module<'a> {
        self.module
    }

    /// Whether the file says that it is in the kernel's own format: the loader does not look at
    /// all of that.
    pub(crate) fn is_native(&self) -> bool {
        self.is_native
    }

    /// Its sections.
    pub(crate) fn sections(&self) -> SectionTable<'a> {
        SectionTable::new(self.sections, Endian::NATIVE)
    }

    /// The contents of a section: in module memory where it has its place there, else in the
    /// loader's copy of the file.
    pub(crate) fn data(&self, index: SectionIndex) -> &'a [u8] {
        match self.sections().get(index) {
            // SAFETY: The loader has checked that every section with contents is within the file,
            // and set `sh_addr` to where it is now. The copy of the file and the module's memory
            // stay until `module_finalize()` has returned, which `'a` does not outlast. Until then
            // only the task that loads the module writes to them, which is the one that runs this:
            // relocations, and these are applied when nothing borrows a section's contents.
            Ok(section) if section.sh_type != SHT_NULL && section.sh_type != SHT_NOBITS => unsafe {
                contents(&section)
            },
            _ => &[],
        }
    }

    /// The names of sections.
    pub(crate) fn names(&self) -> StringTable<'a> {
        StringTable::new(self.data(self.names))
    }

    /// The contents of the section with this name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&'a [u8]> {
        let (index, _) = self.sections().find(&self.names(), name)?;
        Some(self.data(index))
    }
}

/// What is at a section's address.
///
/// # Safety
///
/// Where `sh_addr` is not 0, `sh_size` bytes there must be memory that nobody writes or frees
/// during `'a`.
unsafe fn contents<'a>(section: &Section) -> &'a [u8] {
    if section.sh_addr == 0 || section.sh_size == 0 {
        return &[];
    }
    // SAFETY: The caller says that so many bytes are there for `'a` and stay as they are. Memory
    // of the kernel is no larger than an `isize` can count, and bytes are always aligned.
    unsafe { slice::from_raw_parts(section.sh_addr as *const u8, section.sh_size as usize) }
}

/// What is kept of a livepatch module from its load to its unload, in the form that
/// `apply_relocate_add()` takes: section headers, section names, the whole symbol table with the
/// indices that relocations use, and its strings. The kernel itself keeps none of it, or only a
/// part, once the module's init function is done.
pub(crate) struct Retained {
    module: NonNull<bindings::module>,
    sections: KVVec<bindings::elf64_shdr>,
    names: KVVec<u8>,
    symbols: KVVec<bindings::elf64_sym>,
    strings: KVVec<u8>,
    symbol_section: SectionIndex,
    arch: arch::Kept,
}

// SAFETY: The module that it is about outlives it: it is dropped in `module_arch_cleanup()`, and
// until then by those only who hold a reference on the module.
unsafe impl Send for Retained {}

/// A livepatch relocation section that can be applied. Only [`Retained::check`] makes one, and
/// only [`Retained::apply`] takes it.
///
/// # Invariants
///
/// The section `index` of `module` and the section that it relocates are in that module's memory.
/// Each of its relocations names one of the `symbols` symbols that are kept, is of a type that
/// this architecture applies, and writes within the section that is relocated. Nobody changes
/// the relocations of a module.
pub(crate) struct Checked {
    module: ModuleId,
    index: SectionIndex,
    symbols: u32,
    occupied: Option<u32>,
}

impl Checked {
    /// The first relocation at whose place there is something already, on an architecture that
    /// does not write over that.
    pub(crate) fn occupied(&self) -> Option<u32> {
        self.occupied
    }
}

/// A section that was applied, wholly or in part, and not taken back since. Only
/// [`Retained::apply`] makes one, and only [`Retained::clear`] takes it.
///
/// # Invariants
///
/// What is at the places of the relocations in section `index` of `module` was written for them.
pub(crate) struct Applied {
    module: ModuleId,
    index: SectionIndex,
}

impl Retained {
    /// Copies what is to be kept.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOEXEC` for a module without a symbol table.
    pub(crate) fn new(loading: &Loading<'_>) -> Result<Retained> {
        let (symbol_section, header) = loading
            .sections()
            .iter()
            .find(|(_, section)| section.sh_type == SHT_SYMTAB)
            .ok_or(ENOEXEC)?;
        let mut sections: KVVec<bindings::elf64_shdr> = copy_of(loading.sections)?;
        let mut names = KVVec::new();
        names.extend_from_slice(loading.data(loading.names), GFP_KERNEL)?;
        let mut strings = KVVec::new();
        strings.extend_from_slice(loading.data(SectionIndex(header.sh_link)), GFP_KERNEL)?;

        let symbols: KVVec<bindings::elf64_sym> = copy_of(loading.data(symbol_section))?;
        // The table that relocations are applied with is the copy.
        if let Some(section) = sections.get_mut(symbol_section.0 as usize) {
            section.sh_addr = symbols.as_ptr() as u64;
        }
        Ok(Retained {
            module: NonNull::new(loading.module().as_ptr()).ok_or(EINVAL)?,
            sections,
            names,
            symbols,
            strings,
            symbol_section,
            arch: arch::Kept::new(&loading.module())?,
        })
    }

    /// Lets go of what only relocations that are applied later need.
    pub(crate) fn forget_symbols(&mut self) {
        self.symbols = KVVec::new();
        self.strings = KVVec::new();
        self.arch = arch::Kept::none();
        // The table is not there any more.
        if let Some(section) = self.sections.get_mut(self.symbol_section.0 as usize) {
            (section.sh_addr, section.sh_size) = (0, 0);
        }
    }

    /// The module that it is about.
    pub(crate) fn module(&self) -> Module<'_> {
        // SAFETY: The module outlives `self`.
        unsafe { Module::from_raw(self.module) }
    }

    /// The identity of the module that it is about.
    pub(crate) fn id(&self) -> ModuleId {
        self.module().id()
    }

    /// The section headers.
    pub(crate) fn sections(&self) -> SectionTable<'_> {
        SectionTable::new(bytes_of(&self.sections), Endian::NATIVE)
    }

    /// The names of sections.
    pub(crate) fn names(&self) -> StringTable<'_> {
        StringTable::new(&self.names)
    }

    /// The symbols.
    pub(crate) fn symbols(&self) -> SymbolTable<'_> {
        SymbolTable::new(bytes_of(&self.symbols), Endian::NATIVE)
    }

    /// The names of symbols.
    pub(crate) fn strings(&self) -> StringTable<'_> {
        StringTable::new(&self.strings)
    }

    /// Says where a livepatch symbol is.
    pub(crate) fn set_symbol(&mut self, index: SymbolIndex, address: Address) {
        if let Some(symbol) = self.symbols.get_mut(index.0 as usize) {
            symbol.st_value = address.0 as u64;
        }
    }

    /// Checks that a section is in the module's memory, where the loader has put it.
    fn in_memory(&self, section: &Section) -> format::error::Result<()> {
        let start = Address(section.sh_addr as usize);
        if !self.module().contains(start, section.sh_size as usize) {
            return Err(format::Error::RelocationTarget(
                "not in the module's memory",
            ));
        }
        Ok(())
    }

    /// The relocations in a section, checked or not.
    ///
    /// # Errors
    ///
    /// [`RelocationTarget`](format::Error::RelocationTarget) where it is not in the module's
    /// memory or is not a whole number of them.
    pub(crate) fn relocations(
        &self,
        section: &Section,
    ) -> format::error::Result<RelocationTable<'_>> {
        self.in_memory(section)?;
        // SAFETY: The memory of the module, which outlives `self`, can be read.
        RelocationTable::new(unsafe { contents(section) }, Endian::NATIVE)
    }

    /// Checks what writing the relocations of a section rests on, and calls `each` with every one
    /// and its symbol.
    ///
    /// # Errors
    ///
    /// What is wrong with the section, or what `each` returns.
    pub(crate) fn check<E: From<format::Error>>(
        &self,
        index: SectionIndex,
        each: impl FnMut(u32, &Relocation, &Symbol) -> core::result::Result<(), E>,
    ) -> core::result::Result<Checked, E> {
        let sections = self.sections();
        let section = sections.get(index)?;
        let target = sections.get(SectionIndex(section.sh_info))?;
        check::section(&section, &target, self.symbol_section)?;
        self.in_memory(&target)?;
        let table = self.relocations(&section)?;
        let symbols = self.symbols();
        check::relocations(arch::MACHINE, &table, &symbols, target.sh_size, each)?;
        let occupied = table.iter().find(|(_, rela)| {
            let (at, width) = place(&target, rela);
            // SAFETY: The relocation was checked: it lies within a section of the module.
            unsafe { arch::is_occupied(at, width) }
        });
        // INVARIANT: All of that was just checked. The loader is done with the relocations, and no
        // section of relocations can be the target of others.
        Ok(Checked {
            module: self.id(),
            index,
            symbols: symbols.len(),
            occupied: occupied.map(|(nr, _)| nr),
        })
    }

    /// Has the architecture write the relocations of a section. `applied` is set as soon as
    /// something may be written, whether that ends well or not.
    ///
    /// # Errors
    ///
    /// That of `apply_relocate_add()`; `ENOEXEC` where something else was checked.
    pub(crate) fn apply(&mut self, checked: Checked, applied: &mut Option<Applied>) -> Result {
        let Checked {
            module,
            index,
            symbols,
            ..
        } = checked;
        let is_this = module == self.id() && symbols == self.symbols().len();
        if !is_this || !self.arch.covers(symbols) {
            return Err(ENOEXEC);
        }
        // INVARIANT: From here on they are written.
        *applied = Some(Applied { module, index });
        let (sections, strings) = (self.sections.as_mut_ptr(), self.strings.as_ptr());
        let symbol_section = self.symbol_section.0;
        // SAFETY: The module outlives `self`.
        let loaded = unsafe { Module::from_raw(self.module) };
        let ret = self.arch.with(&loaded, |module| {
            // SAFETY: By the invariants of `Checked`, every relocation of the section names a
            // symbol of the table, is of a known type and writes within its target section, which
            // is part of a loaded module.
            unsafe {
                symbols::apply_relocate_add(
                    sections,
                    strings.cast(),
                    symbol_section,
                    index.0,
                    module,
                )
            }
        })?;
        kernel::error::to_result(ret)
    }

    /// Takes back what [`apply`](Self::apply) wrote, as far as this architecture needs it, so
    /// that the section can be applied again. Nothing may use the relocated places meanwhile.
    pub(crate) fn clear(&mut self, applied: Applied) {
        if applied.module != self.id() {
            return;
        }
        // What is borrowed for the check does not change with it.
        let mut kept = core::mem::take(&mut self.arch);
        let _ = self.clear_places(applied.index, &mut kept);
        self.arch = kept;
    }

    /// Does it, unless something is wrong with the section by now.
    fn clear_places(
        &self,
        index: SectionIndex,
        kept: &mut arch::Kept,
    ) -> format::error::Result<()> {
        self.check(index, |_, _, _| Ok::<(), format::Error>(()))?;
        let section = self.sections().get(index)?;
        let target = self.sections().get(SectionIndex(section.sh_info))?;
        for (_, rela) in self.relocations(&section)?.iter() {
            let (at, width) = place(&target, &rela);
            // SAFETY: The relocation was checked: it lies within a section of the module. What is
            // there was written by `apply()`.
            unsafe { arch::clear_relocation(at, width) };
            kept.forget_slots(rela.symbol);
        }
        Ok(())
    }
}

/// Where a relocation that was checked writes, and how many bytes.
fn place(target: &Section, rela: &Relocation) -> (Address, u8) {
    let start = Address(target.sh_addr as usize);
    (
        start.offset(rela.r_offset as usize),
        reloc::width(arch::MACHINE, rela.r_type).unwrap_or(0),
    )
}
