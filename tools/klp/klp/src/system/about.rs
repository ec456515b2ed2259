// SPDX-License-Identifier: GPL-2.0

//! What a module says of itself to people.
//!
//! The kernel keeps only the versions of a module that is loaded; all else is in its file, where
//! that is known.

use super::identity::Identity;
use super::{modules, System};
use crate::file::module_file::ModuleFile;
use std::path::Path;

/// What a module says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// What it is for.
    pub description: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The digest of its sources.
    pub srcversion: Option<String>,
    /// Those who wrote it.
    pub authors: Vec<String>,
}

impl About {
    /// What a file says.
    pub fn of_file(file: &ModuleFile) -> Self {
        About {
            description: file.text(b"description"),
            version: file.text(b"version"),
            srcversion: file.text(b"srcversion"),
            authors: file.texts(b"author"),
        }
    }

    /// What is known of a loaded module; of a file only where it is the same build. It is looked for
    /// where it is installed, and where modprobe finds modules.
    pub fn of_loaded(system: &System, name: &str, installed: Option<&Path>) -> Self {
        let loaded = Identity::of_loaded(system, name);
        let same = |path: &Path| {
            let file = ModuleFile::read(path).ok()?;
            let same = Identity::of_file(&file).is_same(&loaded) == Some(true);
            same.then(|| About::of_file(&file))
        };
        installed
            .and_then(same)
            .or_else(|| same(&modules::find_file(system, name)?))
            .unwrap_or(About {
                version: loaded.version,
                srcversion: loaded.srcversion,
                ..About::default()
            })
    }
}
