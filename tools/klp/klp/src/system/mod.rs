// SPDX-License-Identifier: GPL-2.0

//! The machine whose kernel is patched.
//!
//! | | |
//! | --- | --- |
//! | [`kernel`] | system calls |
//! | [`patches`] | `/sys/kernel/livepatch` |
//! | [`support`] | which livepatch core there is |
//! | [`blockers`] | what a transition waits for |
//! | [`task`] | what a task does |
//! | [`phase`] | how far it has come |
//! | [`effect`] | which of several patches is in effect for a function |
//! | [`modules`], [`removal`], [`refusal`] | what is loaded, inserting and removing, and why not |
//! | [`identity`], [`about`] | which build of a module something is, and what it says of itself |
//! | [`patch_file`] | livepatches for a kernel |
//! | [`store`] | patches that are kept for the boot |
//! | [`kmsg`] | the kernel's log |
//! | [`taint`] | the kernel's taint flags |
//!
//! All files are found from a root directory, and all system calls go through one trait, so that
//! tests can stand in for a kernel.

pub mod about;
pub mod blockers;
pub mod effect;
pub mod identity;
pub mod kernel;
pub mod kmsg;
pub mod modules;
pub mod patch_file;
pub mod patches;
pub mod phase;
pub mod refusal;
pub mod removal;
pub mod store;
pub mod support;
pub mod taint;
pub mod task;

use anyhow::{bail, Result};
use kernel::{Kernel, Running, Tree};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A running system: where its files are, and its kernel.
pub struct System {
    root: PathBuf,
    kernel: Box<dyn Kernel>,
}

impl System {
    /// The one that this process runs on.
    pub fn running() -> Self {
        System::new(Path::new("/"), Box::new(Running))
    }

    /// A directory that looks like one; it has no kernel.
    pub fn tree(root: &Path) -> Self {
        System::new(
            root,
            Box::new(Tree {
                root: root.to_owned(),
            }),
        )
    }

    /// Files below `root`, with the kernel that they belong to.
    pub fn new(root: &Path, kernel: Box<dyn Kernel>) -> Self {
        System {
            root: root.to_owned(),
            kernel,
        }
    }

    /// Where the file is that is called `path` there.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Its kernel.
    pub fn kernel(&self) -> &dyn Kernel {
        &*self.kernel
    }

    /// What `uname -r` says.
    pub fn release(&self) -> Option<String> {
        let text = fs::read_to_string(self.path("/proc/sys/kernel/osrelease")).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// Whether a kernel of this release is installed.
    pub fn has_kernel(&self, release: &str) -> bool {
        // The directory alone may stay when a kernel is removed, with what others put there.
        let modules = format!("/lib/modules/{release}");
        [
            format!("{modules}/kernel"),
            format!("{modules}/modules.builtin"),
            format!("/boot/vmlinuz-{release}"),
        ]
        .iter()
        .any(|path| self.path(path).exists())
    }

    /// How long it has run, by the clock of the kernel's log.
    pub fn now(&self) -> Option<Duration> {
        self.kernel.now()
    }

    /// Ends a command at its beginning that could only fail later.
    pub fn need_root(&self, command: &str) -> Result<()> {
        if !self.kernel.is_root() {
            bail!("klp {command} needs root: run it as root, or with sudo");
        }
        Ok(())
    }
}

/// The contents of a file of the kernel without the end of their line; `None` where it is not, or
/// no longer, there. A file of sysfs that was opened before its directory was removed reads as
/// `ENODEV`, and a task of /proc that has ended as `ESRCH`.
pub(crate) fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directories that are numbers, such as tasks in /proc, in their order.
pub(crate) fn numbers(directory: &Path) -> Vec<i32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut numbers: Vec<i32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The name of a task: anybody chooses it, so what is not printable ASCII is escaped, as
/// `livepatch.ko` does it.
pub(crate) fn task_name(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Whether the error says that what was to be read or written is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let gone = [Errno::NOENT, Errno::NODEV, Errno::SRCH, Errno::NOTDIR];
    gone.iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
