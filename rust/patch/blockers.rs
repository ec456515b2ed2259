// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/livepatch/<patch>/blockers`: what a transition waits for.
//!
//! One line for each task that was in the way at the last try: its number, its name, and the
//! function that it is in, or `(unreliable stack)`. Empty where nothing is waited for. What does
//! not fit is counted in a last line.

use super::consistency::{self, Reason};
use super::model::PatchId;
use super::registry;
use crate::format::name::Text;
use crate::sys::debugfs::File;
use kernel::seq_file::SeqFile;
use kernel::seq_print;

/// The files in the directory of a patch.
pub(crate) const FILES: &[File] = &[File {
    name: c"blockers",
    show,
}];

/// Prints what the transition of the patch with number `id` waits for. It takes the registry's
/// lock: the file must not be removed under that lock.
fn show(id: u64, file: &SeqFile) {
    let id = PatchId(id);
    let registry = registry::lock();
    let (Some(transition), Some(patch)) = (&registry.transition, registry.patch(id)) else {
        return;
    };
    if transition.patch != id {
        return;
    }
    let mut shown = 0;
    for blocker in transition.blockers.iter() {
        let (pid, comm) = (blocker.task.pid, Text(blocker.task.comm()));
        match blocker.reason {
            Reason::InFunction(index) => {
                seq_print!(
                    file,
                    "{} {} {}\n",
                    pid,
                    comm,
                    consistency::function_name(patch, index)
                )
            }
            Reason::UnreliableStack => seq_print!(file, "{} {} (unreliable stack)\n", pid, comm),
        }
        shown += 1;
    }
    let more = transition.blockers.count.saturating_sub(shown);
    if more != 0 {
        seq_print!(file, "and {} more\n", more);
    }
}
