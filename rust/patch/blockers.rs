// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/livepatch/<patch>/blockers`: what a transition waits for.
//!
//! One line for each task that was in the way at the last try: its number, its name, and the
//! function that it is in, or `(unreliable stack)`. Empty where nothing is waited for. What does
//! not fit is counted in a last line.

use super::model::PatchId;
use super::registry::Registry;
use super::walk::{self, Reason};
use crate::format::name::Text;
use crate::sys::locks::REGISTRY;
use core::fmt;
use kernel::debugfs::{Dir, File};
use kernel::prelude::*;

/// A patch's directory in debugfs. It takes the registry's lock to be read, so that it must not
/// be removed under that lock.
pub(crate) struct BlockersFile {
    _file: Pin<KBox<File<PatchId>>>,
    _dir: Dir,
}

impl BlockersFile {
    /// Makes it, below the module's own directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(root: &Dir, patch: &CStr, id: PatchId) -> Result<Self> {
        let dir = root.subdir(patch);
        let file = KBox::pin_init(dir.read_callback_file(c"blockers", id, &show), GFP_KERNEL)?;
        Ok(BlockersFile { _file: file, _dir: dir })
    }
}

fn show(id: &PatchId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    show_blockers(&REGISTRY.lock(), *id, f)
}

fn show_blockers(registry: &Registry, id: PatchId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (Some(transition), Some(patch)) = (&registry.transition, registry.patch(id)) else {
        return Ok(());
    };
    if transition.patch != id {
        return Ok(());
    }
    let mut shown = 0;
    for blocker in transition.blockers.iter() {
        write!(f, "{} {} ", blocker.task.pid, Text(blocker.task.comm()))?;
        match blocker.reason {
            Reason::InFunction(index) => writeln!(f, "{}", walk::function_name(patch, index))?,
            Reason::UnreliableStack => writeln!(f, "(unreliable stack)")?,
        }
        shown += 1;
    }
    match transition.blockers.count.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(f, "and {more} more"),
    }
}
