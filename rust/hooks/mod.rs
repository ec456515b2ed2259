// SPDX-License-Identifier: GPL-2.0

//! Where the kernel calls this module while it loads and unloads others.
//!
//! | when | what |
//! | --- | --- |
//! | a file's signature was checked | [`admit`]: hide the mark that the kernel would refuse |
//! | a module is in its place | [`finalize`]: keep its ELF information, relocate |
//! | a module is complete, live, going | [`modules`]: patch it, or let it go |
//! | a module is freed | [`finalize`]: free what was kept |

mod admit;
mod finalize;
mod modules;

use crate::sys::elf::Loading;
use crate::sys::loader::{Hooks, LoaderEvents};
use crate::sys::module::ModuleId;
use crate::sys::notifier::Registration;
use crate::sys::symbols::Found;
use kernel::prelude::*;

struct Events;

impl LoaderEvents for Events {
    fn admit(file: &mut [u8]) -> Result {
        admit::admit(file)
    }

    fn finalize(loading: &Loading<'_>) -> Result {
        finalize::finalize(loading)
    }

    fn cleanup(module: ModuleId) {
        finalize::cleanup(module);
    }
}

/// All hooks, for as long as it lives. No livepatch is let in any more before the notifier goes.
pub(crate) struct Installed {
    _loader: Hooks<Events>,
    _notifier: Pin<KBox<Registration<modules::Targets>>>,
}

impl Installed {
    /// Installs all hooks.
    ///
    /// # Errors
    ///
    /// Those of [`Hooks::new`] and [`Registration::new`].
    pub(crate) fn new(found: &Found) -> Result<Self> {
        let notifier = Registration::new()?;
        Ok(Installed {
            _loader: Hooks::new(found)?,
            _notifier: notifier,
        })
    }
}
