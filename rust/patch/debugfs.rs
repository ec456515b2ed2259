// SPDX-License-Identifier: GPL-2.0

//! What can be seen in `/sys/kernel/debug/livepatch`.
//!
//! `kept-modules` has one line for each module of a patch that tasks were forced out of, whose code they
//! may still run: its name. The kernel removes such a module only by force. No module that kbuild makes
//! has a name like that of the file.
//!
//! All else is in the directory of a patch.
//!
//! `blockers` has one line for each task that is in the way: its number, its name, and the function
//! that it is in, `[module]` where it is elsewhere in the text of that patch module, or
//! `(unreliable stack)`. It is empty where nothing is waited for. What there was no memory for is
//! counted in a last line.
//!
//! `phase` has one word: `waiting` while nothing has changed for anybody, `switched` when what the
//! transition is for is in effect for all but the tasks in `blockers`; without a transition `none`, or
//! `forced` if the patch was enabled by force, so that tasks may still be in what it replaces.
//!
//! `functions` has one line for each function that is patched: its object, its name, and how calls
//! get to where they go: by a `jump`, through a `trampoline` that decides, as in a transition, or
//! through a `handler` of ftrace.

use super::consistency;
use super::model::PatchId;
use super::redirects::Site;
use super::registry;
use crate::format::name::Text;
use crate::sys::debugfs::File;
use crate::sys::watch::Reason;
use kernel::seq_file::SeqFile;
use kernel::seq_print;

/// The files beside the directories of patches. Showing them takes the registry's lock: they must not
/// be removed under that lock.
pub(super) const FILES: &[File] = &[File {
    name: c"kept-modules",
    show: show_kept,
}];

/// The files in the directory of a patch. Showing them takes the registry's lock: they must not be
/// removed under that lock.
pub(crate) const FILES_OF_PATCH: &[File] = &[
    File {
        name: c"blockers",
        show: show_blockers,
    },
    File {
        name: c"phase",
        show: show_phase,
    },
    File {
        name: c"functions",
        show: show_functions,
    },
];

fn show_kept(_: u64, file: &SeqFile) {
    for name in registry::lock().kept.names() {
        seq_print!(file, "{}\n", name);
    }
}

fn show_blockers(id: u64, file: &SeqFile) {
    let registry = registry::lock();
    let Some(transition) = &registry.transition else {
        return;
    };
    if transition.patch != PatchId(id) {
        return;
    }
    let patches = &registry.patches;
    let mut shown = 0;
    let count = consistency::for_each_blocker(transition, |task, reason| {
        let (pid, comm) = (task.pid, Text(task.comm()));
        match reason {
            Reason::InFunction(index) => {
                let function = consistency::function_name(patches, transition, index);
                seq_print!(file, "{} {} {}\n", pid, comm, function)
            }
            Reason::InText(id) => {
                let module = consistency::module_name(patches, id);
                seq_print!(file, "{} {} [{}]\n", pid, comm, module)
            }
            Reason::UnreliableStack => seq_print!(file, "{} {} (unreliable stack)\n", pid, comm),
        }
        shown += 1;
    });
    let more = count.saturating_sub(shown);
    if more != 0 {
        seq_print!(file, "and {} more\n", more);
    }
}

fn show_phase(id: u64, file: &SeqFile) {
    let registry = registry::lock();
    let transition = registry.transition.as_ref();
    let phase = match transition.filter(|transition| transition.patch == PatchId(id)) {
        None if registry
            .patch(PatchId(id))
            .is_some_and(|patch| patch.enabled_by_force) =>
        {
            "forced"
        }
        None => "none",
        // Where it is reversed and the way back has still to be tried again, some are behind as well.
        Some(transition)
            if transition.exceptions.is_some()
                || transition.goal.effect() == registry.redirects.in_effect() =>
        {
            "switched"
        }
        Some(_) => "waiting",
    };
    seq_print!(file, "{}\n", phase);
}

fn show_functions(id: u64, file: &SeqFile) {
    let registry = registry::lock();
    let Some(patch) = registry.patch(PatchId(id)) else {
        return;
    };
    for object in patch.objects.iter() {
        let name = Text(object.display_name());
        for function in object.functions.iter().filter(|function| function.patched) {
            let site = function.old.as_ref();
            let site = site.and_then(|old| registry.redirects.site(old.address));
            let way = site.map_or("?", Site::way);
            let function = Text(function.name.to_bytes());
            seq_print!(file, "{} {} {}\n", name, function, way);
        }
    }
}
