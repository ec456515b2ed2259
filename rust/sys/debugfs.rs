// SPDX-License-Identifier: GPL-2.0

//! Directories in debugfs, with files that only root reads.
//!
//! The kernel crate's files do not keep the module in memory while they are open: a file that is
//! closed after the module was removed would run code that is gone. `exports.c` defines
//! operations that have an owner.

use super::bindings;
use core::ptr;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::Arc;

// Structures of the kernel may have members without size.
#[allow(improper_ctypes)]
extern "C" {
    /// Makes the file `name` in `dir`, whose operations get `shown`.
    fn livepatch_create_debug_file(
        dir: *mut bindings::dentry,
        name: *const c_char,
        shown: *mut c_void,
    );
}

/// A kind of file.
pub(crate) struct File {
    pub(crate) name: &'static CStr,
    /// Prints what is in the file of the directory with this number.
    pub(crate) show: fn(u64, &SeqFile),
}

/// What is shown in one file.
struct Shown {
    show: fn(u64, &SeqFile),
    id: u64,
}

/// A directory. Dropping it removes it with all that is in it, and waits until nobody reads its
/// files. Errors are not reported: as everywhere, what works must not depend on debugfs.
///
/// # Invariants
///
/// `dir` is what `debugfs_create_dir()` returned: a directory that is removed by `drop` and by
/// nobody before, or an error, which all functions of debugfs pass over. Its files refer to items
/// of `shown`, which is not changed any more.
pub(crate) struct DebugDir {
    dir: *mut bindings::dentry,
    shown: KVec<Shown>,
    /// Removing that would remove this one with it: it stays for as long.
    _parent: Option<Arc<DebugDir>>,
}

// SAFETY: A directory in debugfs may be used and removed by any task; the rest is constant.
unsafe impl Send for DebugDir {}
// SAFETY: Nothing is changed through a shared reference but the directory, which debugfs guards
// with locks of its own.
unsafe impl Sync for DebugDir {}

impl DebugDir {
    /// The directory `name` at the top of debugfs, with `files`, which are asked to print what is in
    /// those of number 0.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn top(name: &CStr, files: &[File]) -> Result<Arc<Self>> {
        Ok(Arc::new(Self::new(None, name, 0, files), GFP_KERNEL)?)
    }

    /// The directory `name` in `parent`, with `files`, which are asked to print what is in those
    /// of number `id`.
    pub(crate) fn below(parent: &Arc<Self>, name: &CStr, id: u64, files: &[File]) -> Self {
        Self::new(Some(parent.clone()), name, id, files)
    }

    fn new(parent: Option<Arc<Self>>, name: &CStr, id: u64, files: &[File]) -> Self {
        let above = parent.as_ref().map_or(ptr::null_mut(), |parent| parent.dir);
        let mut shown = KVec::with_capacity(files.len(), GFP_KERNEL).unwrap_or_default();
        for file in files {
            let show = file.show;
            // Where memory is short there are no files.
            let _ = shown.push_within_capacity(Shown { show, id });
        }
        // SAFETY: The name is NUL-terminated. No parent stands for the top; another one is, by its
        // invariant, a directory that was not removed, or an error that is passed on.
        let dir = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), above) };
        // INVARIANT: The parent is not removed before this one. `shown` is not changed any more, and
        // its items stay where they are.
        let directory = DebugDir {
            dir,
            shown,
            _parent: parent,
        };
        for (file, shown) in files.iter().zip(directory.shown.iter()) {
            // SAFETY: The directory was just made, or is an error that is passed over; the name is
            // NUL-terminated. What is shown lives until the directory was removed.
            unsafe {
                livepatch_create_debug_file(
                    directory.dir,
                    file.name.as_char_ptr(),
                    ptr::from_ref(shown).cast_mut().cast(),
                )
            };
        }
        directory
    }
}

impl Drop for DebugDir {
    fn drop(&mut self) {
        // SAFETY: By the invariant it was created and not removed, or is an error.
        unsafe { bindings::debugfs_remove(self.dir) };
    }
}

/// Called when a file is read.
///
/// # Safety
///
/// Only for the operations that `exports.c` defines, with a file whose private data is what
/// `livepatch_create_debug_file()` was given.
#[no_mangle]
pub(crate) unsafe extern "C" fn livepatch_debug_show(
    file: *mut kernel::bindings::seq_file,
    _unused: *mut c_void,
) -> c_int {
    // SAFETY: The private data is a `Shown`, which stays while a file is read: removing the
    // directory waits for that.
    let (shown, file) = unsafe { (&*(*file).private.cast::<Shown>(), SeqFile::from_raw(file)) };
    (shown.show)(shown.id, file);
    0
}
