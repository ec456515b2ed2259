// SPDX-License-Identifier: GPL-2.0

//! Directories in debugfs, with one file that lists what a transition waits for.
//!
//! The kernel crate's files do not keep the module in memory while they are open: a file that is
//! closed after the module was removed would run code that is gone. `exports.c` defines
//! operations that have an owner.

use super::bindings;
use crate::patch::blockers;
use core::ptr;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;

// Structures of the kernel may have members without size.
#[allow(improper_ctypes)]
extern "C" {
    /// Makes the file `blockers` in `dir`, for the patch with number `id`.
    fn livepatch_create_blockers(dir: *mut bindings::dentry, id: c_ulong);
}

/// A directory. Dropping it removes it with all that is in it, and waits until nobody reads its
/// file. Errors are not reported: as everywhere, what works must not depend on debugfs.
pub(crate) struct DebugDir(*mut bindings::dentry);

// SAFETY: A directory in debugfs may be used and removed by any task.
unsafe impl Send for DebugDir {}
// SAFETY: As above.
unsafe impl Sync for DebugDir {}

impl DebugDir {
    /// The directory `name` at the top of debugfs.
    pub(crate) fn top(name: &CStr) -> Self {
        // SAFETY: The name is NUL-terminated; no parent stands for the top.
        DebugDir(unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), ptr::null_mut()) })
    }

    /// The directory of a patch, with its file.
    pub(crate) fn patch(&self, name: &CStr, id: u64) -> Self {
        // SAFETY: The name is NUL-terminated. The parent lives, or is an error that is passed on.
        unsafe {
            let dir = bindings::debugfs_create_dir(name.as_char_ptr(), self.0);
            livepatch_create_blockers(dir, id as c_ulong);
            DebugDir(dir)
        }
    }
}

impl Drop for DebugDir {
    fn drop(&mut self) {
        // SAFETY: It was created, or is an error, which is passed over.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}

/// Called when the file `blockers` of a patch is read.
///
/// # Safety
///
/// Only for the operations that `exports.c` defines.
#[no_mangle]
pub(crate) unsafe extern "C" fn livepatch_blockers_show(
    file: *mut kernel::bindings::seq_file,
    _unused: *mut c_void,
) -> c_int {
    // SAFETY: A file that is being read, whose private data is the number of the patch.
    let (id, file) = unsafe { ((*file).private as u64, SeqFile::from_raw(file)) };
    blockers::show(id, file);
    0
}
