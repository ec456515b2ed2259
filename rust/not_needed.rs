// SPDX-License-Identifier: GPL-2.0

//! What livepatch.ko is on a kernel with `CONFIG_LIVEPATCH`: such a kernel loads livepatches by
//! itself, and exports the functions that this module would export.

use kernel::prelude::*;

#[allow(dead_code)]
#[path = "sys/errno.rs"]
mod errno;

module! {
    type: NotNeeded,
    name: "livepatch",
    authors: ["The livepatch-rs authors"],
    description: "Says that this kernel has livepatch support of its own",
    license: "GPL",
}

struct NotNeeded;

impl kernel::Module for NotNeeded {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_err!(
            "this kernel has CONFIG_LIVEPATCH: it loads livepatches by itself, livepatch.ko is not needed\n"
        );
        Err(errno::eopnotsupp())
    }
}
