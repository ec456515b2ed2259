// SPDX-License-Identifier: GPL-2.0

//! The ELF information of every livepatch module, from its load to its unload.

use super::sections::RelocationSection;
use crate::format::elf::SHF_ALLOC;
use crate::format::name::ObjectName;
use crate::sys::elf::Retained;
use crate::sys::lock::{self, lock};
use crate::sys::module::ModuleId;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{Arc, Mutex, MutexGuard};

/// What is kept of one module.
pub(crate) struct LivepatchElf {
    pub(super) elf: Retained,
    /// The sections that are applied when a target comes, and taken back when it goes.
    pub(super) sections: KVVec<RelocationSection>,
}

impl LivepatchElf {
    /// The modules that relocations wait for.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = ObjectName<'_>> {
        self.sections.iter().map(RelocationSection::object)
    }

    /// Address and size of the section with this name, where it has a place in memory.
    pub(crate) fn section_in_memory(&self, name: &[u8]) -> Option<(usize, usize)> {
        self.elf
            .sections()
            .find(&self.elf.names(), name)
            .filter(|(_, section)| section.sh_flags & SHF_ALLOC != 0)
            .map(|(_, section)| (section.sh_addr as usize, section.sh_size as usize))
    }
}

/// An entry of the table of all modules.
#[pin_data]
pub(crate) struct Entry {
    id: ModuleId,
    /// Locked while symbols are resolved and relocations applied.
    #[pin]
    elf: Mutex<LivepatchElf>,
}

impl Entry {
    /// It, locked.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LivepatchElf> {
        lock::take(|| self.elf.lock())
    }
}

/// What is kept of all modules.
pub(crate) struct Table(KVec<Arc<Entry>>);

lock! {
    /// What is kept of all modules, locked.
    RETAINED: Table = Table(KVec::new())
}

/// Keeps `livepatch` until [`forget`] is called for its module.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn keep(livepatch: LivepatchElf) -> Result {
    let id = livepatch.elf.id();
    let entry = Arc::pin_init(
        pin_init!(Entry { id, elf <- new_mutex!(livepatch, "livepatch::retained") }),
        GFP_KERNEL,
    )?;
    lock().0.push(entry, GFP_KERNEL)?;
    Ok(())
}

/// What is kept of a module; `None` where it is not a livepatch.
pub(crate) fn get(module: ModuleId) -> Option<Arc<Entry>> {
    lock().0.iter().find(|entry| entry.id == module).cloned()
}

/// Frees what is kept of a module, if anything is.
pub(crate) fn forget(module: ModuleId) {
    let mut table = lock();
    let position = table.0.iter().position(|entry| entry.id == module);
    let entry = position.and_then(|position| table.0.remove(position).ok());
    drop(table);
    drop(entry);
}

/// Forgets everything when it is dropped.
pub(crate) struct Started(());

impl Started {
    /// Nothing is kept yet.
    pub(crate) fn new() -> Self {
        Started(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let table = core::mem::replace(&mut *lock(), Table(KVec::new()));
        drop(table);
    }
}
