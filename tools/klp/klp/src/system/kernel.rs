// SPDX-License-Identifier: GPL-2.0

//! The system calls that patching takes.

use rustix::io::Errno;
use rustix::process::{self, Pid, Signal};
use rustix::system;
use rustix::time::{clock_gettime, ClockId};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// `MODULE_INIT_COMPRESSED_FILE` of `linux/module.h`.
const COMPRESSED_FILE: i32 = 4;

/// A kernel.
pub trait Kernel {
    /// Whether this process may change it.
    fn is_root(&self) -> bool;

    /// Inserts a module, with `finit_module(2)`.
    fn insert(&self, module: &File, parameters: &CStr, compressed: bool) -> io::Result<()>;

    /// Inserts a module that is in no file which the kernel can read, with `init_module(2)`.
    fn insert_bytes(&self, module: &[u8], parameters: &CStr) -> io::Result<()>;

    /// Removes a module, with `delete_module(2)`; it does not wait.
    fn remove(&self, name: &CStr) -> io::Result<()>;

    /// Has a task leave what it sleeps in: `SIGSTOP`, and `SIGCONT` right after it.
    fn interrupt(&self, task: i32) -> io::Result<()>;

    /// The clock that the kernel's log is stamped with.
    fn now(&self) -> Option<Duration>;
}

/// The one that is running.
pub struct Running;

impl Kernel for Running {
    fn is_root(&self) -> bool {
        process::geteuid().is_root()
    }

    fn insert(&self, module: &File, parameters: &CStr, compressed: bool) -> io::Result<()> {
        let flags = if compressed { COMPRESSED_FILE } else { 0 };
        Ok(system::finit_module(module, parameters, flags)?)
    }

    fn insert_bytes(&self, module: &[u8], parameters: &CStr) -> io::Result<()> {
        Ok(system::init_module(module, parameters)?)
    }

    fn remove(&self, name: &CStr) -> io::Result<()> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        Ok(system::delete_module(name, flags as i32)?)
    }

    fn interrupt(&self, task: i32) -> io::Result<()> {
        let task = Pid::from_raw(task).ok_or(Errno::SRCH)?;
        // The number of a thread that is no process chooses, of its process, that thread.
        let stopped = process::kill_process(task, Signal::STOP);
        // Whatever came of the first: nobody else would continue it.
        process::kill_process(task, Signal::CONT)?;
        Ok(stopped?)
    }

    fn now(&self) -> Option<Duration> {
        let time = clock_gettime(ClockId::Monotonic);
        Some(Duration::new(
            time.tv_sec.try_into().ok()?,
            time.tv_nsec.try_into().ok()?,
        ))
    }
}

/// No kernel, only its files: what is to be read can be read, and what is written is written.
pub struct Tree {
    /// Where they are.
    pub root: PathBuf,
}

fn no_kernel<T>() -> io::Result<T> {
    Err(Errno::NOSYS.into())
}

impl Kernel for Tree {
    fn is_root(&self) -> bool {
        true
    }

    fn insert(&self, _module: &File, _parameters: &CStr, _compressed: bool) -> io::Result<()> {
        no_kernel()
    }

    fn insert_bytes(&self, _module: &[u8], _parameters: &CStr) -> io::Result<()> {
        no_kernel()
    }

    fn remove(&self, _name: &CStr) -> io::Result<()> {
        no_kernel()
    }

    fn interrupt(&self, _task: i32) -> io::Result<()> {
        no_kernel()
    }

    fn now(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.root.join("proc/uptime")).ok()?;
        let seconds = text.split(' ').next()?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}
