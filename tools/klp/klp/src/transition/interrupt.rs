// SPDX-License-Identifier: GPL-2.0

//! Ctrl-C while klp waits.
//!
//! It ends the waiting, and not the transition, which is the kernel's. So that klp can say so, a
//! SIGINT that comes while the kernel inserts a patch ends the waiting that follows. At other times it
//! ends klp as usual.

use crate::signals::is_ignored;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use thiserror::Error;

/// What a shell makes of a program that SIGINT ended.
pub const STATUS: u8 = 128 + SIGINT as u8;

/// The user does not want to wait any longer; what there is to say is said.
#[derive(Debug, Error)]
#[error("interrupted")]
pub struct Interrupted;

struct Flags {
    /// SIGINT has come while it did not end klp.
    received: Arc<AtomicBool>,
    /// It ends klp.
    ends_klp: Arc<AtomicBool>,
}

static FLAGS: OnceLock<Option<Flags>> = OnceLock::new();

/// As long as it is there, SIGINT is written down in place of ending klp.
pub(crate) struct Watch(Option<&'static Flags>);

impl Watch {
    /// Begins. Where there can be no handler, SIGINT ends klp as usual.
    pub(crate) fn begin() -> Self {
        let flags = FLAGS.get_or_init(|| match is_ignored(SIGINT) {
            true => None,
            false => Flags::register().ok(),
        });
        if let Some(flags) = flags {
            flags.ends_klp.store(false, Ordering::SeqCst);
        }
        Watch(flags.as_ref())
    }
}

/// Whether SIGINT has come.
pub(super) fn received() -> bool {
    let flags = FLAGS.get().and_then(Option::as_ref);
    flags.is_some_and(|flags| flags.received.load(Ordering::SeqCst))
}

/// Keeps klp from beginning anything else where SIGINT has come.
pub(crate) fn check() -> Result<(), Interrupted> {
    match received() {
        true => Err(Interrupted),
        false => Ok(()),
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(flags) = self.0 {
            flags.ends_klp.store(true, Ordering::SeqCst);
        }
    }
}

impl Flags {
    fn register() -> io::Result<Self> {
        let flags = Flags {
            received: Arc::default(),
            ends_klp: Arc::new(AtomicBool::new(true)),
        };
        flag::register_conditional_default(SIGINT, flags.ends_klp.clone())?;
        flag::register(SIGINT, flags.received.clone())?;
        Ok(flags)
    }
}
