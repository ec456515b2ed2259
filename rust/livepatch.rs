// SPDX-License-Identifier: GPL-2.0

//! livepatch.ko: livepatch support for kernels that were built without it.
//!
//! This file only says in which order the parts start and stop. [`hooks`] is where the kernel
//! calls, [`api`] what patch modules call, [`loader`] gives livepatch modules what the kernel's loader does not, [`patch`] is what
//! patches are and do. All of them read files through [`format`] and reach the kernel through
//! [`sys`]. `Documentation/livepatch/design.md` tells the whole.

use kernel::prelude::*;

mod api;
// The same files are a crate of their own for host tools, which use more of it.
#[allow(dead_code, unreachable_pub)]
#[path = "format/mod.rs"]
mod format;
mod hooks;
mod loader;
mod messages;
mod patch;
mod sys;

module! {
    type: Livepatch,
    name: "livepatch",
    authors: ["The livepatch-rs authors"],
    description: "Livepatch support for kernels built without CONFIG_LIVEPATCH",
    license: "GPL",
}

/// The running parts, stopped in this order.
struct Livepatch {
    _hooks: hooks::Installed,
    _retained: loader::retain::Started,
    _shadow: sys::shadow::Started,
    _exceptions: sys::exceptions::Started,
    _workqueue: sys::work::Workqueue,
    _registry: patch::registry::Started,
}

impl kernel::Module for Livepatch {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        sys::lock::announce_delays();
        patch::registry::init_lock();
        patch::state::init_lock();
        loader::retain::init_lock();
        let found = sys::symbols::find()?;
        let registry = patch::registry::Started::new()?;
        let workqueue = sys::work::Workqueue::new()?;
        let exceptions = sys::exceptions::Started::new();
        let retained = loader::retain::Started::new();
        let shadow = sys::shadow::Started::new();
        let hooks = hooks::Installed::new(&found)?;
        registry.show();
        Ok(Livepatch {
            _hooks: hooks,
            _retained: retained,
            _shadow: shadow,
            _exceptions: exceptions,
            _workqueue: workqueue,
            _registry: registry,
        })
    }
}
