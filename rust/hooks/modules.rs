// SPDX-License-Identifier: GPL-2.0

//! Modules that patches may be waiting for.

use crate::patch::modules;
use crate::sys::module::Module;
use crate::sys::notifier::ModuleEvents;
use kernel::prelude::*;

/// Passes on what happens to modules.
pub(crate) struct Targets;

impl ModuleEvents for Targets {
    fn coming(module: &Module<'_>) -> Result {
        modules::coming(module)
    }

    fn live(module: &Module<'_>) {
        modules::live(module);
    }

    fn going(module: &Module<'_>) {
        modules::going(module);
    }
}
