// SPDX-License-Identifier: GPL-2.0

//! Which livepatch core the kernel has.

use super::patches::DIRECTORY;
use super::{modules, read_if_there, System};
use anyhow::Result;
use std::fmt;

/// The name of `livepatch.ko` in the kernel.
pub const MODULE: &str = "livepatch";

/// What loads livepatches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Core {
    /// Nothing.
    None,
    /// The kernel's own, in a kernel of this version.
    Mainline {
        /// As `uname -r` has it.
        release: Option<String>,
    },
    /// `livepatch.ko`.
    Module {
        /// Its version, or where it has none the digest of its sources.
        version: Option<String>,
    },
}

impl Core {
    /// The one that is there now.
    pub fn detect(system: &System) -> Result<Core> {
        if modules::find(system, MODULE)?.is_some() {
            let version = ["version", "srcversion"].iter().find_map(|file| {
                let path = format!("/sys/module/{MODULE}/{file}");
                read_if_there(&system.path(path)).ok().flatten()
            });
            Ok(Core::Module { version })
        } else if system.path(DIRECTORY).is_dir() {
            Ok(Core::Mainline {
                release: system.release(),
            })
        } else {
            Ok(Core::None)
        }
    }

    /// Its kind, in a word that stays.
    pub fn kind(&self) -> &'static str {
        match self {
            Core::None => "none",
            Core::Mainline { .. } => "mainline",
            Core::Module { .. } => "livepatch.ko",
        }
    }

    /// Its version, where it is known.
    pub fn version(&self) -> Option<&str> {
        match self {
            Core::None => None,
            Core::Mainline { release } => release.as_deref(),
            Core::Module { version } => version.as_deref(),
        }
    }
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Core::None => {
                f.write_str("none: this kernel loads no livepatches until livepatch.ko is inserted")
            }
            Core::Mainline { release } => match release {
                Some(release) => write!(f, "mainline's, of Linux {release}"),
                None => f.write_str("mainline's"),
            },
            Core::Module { version } => match version {
                Some(version) => write!(f, "livepatch.ko, version {version}"),
                None => f.write_str("livepatch.ko"),
            },
        }
    }
}
