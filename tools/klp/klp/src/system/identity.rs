// SPDX-License-Identifier: GPL-2.0

//! Which build of a module something is: whether a file holds what is loaded.

use super::{read_if_there, System};
use crate::file::module::Module;
use crate::file::module_file::ModuleFile;
use std::fmt;
use std::fs;
use std::path::Path;

/// The section with the build ID, also as `/sys/module/<name>/notes` has it.
const BUILD_ID: &str = ".note.gnu.build-id";

/// What stands before the ID in that note: three numbers, and the name `GNU`.
const NOTE_HEADER: usize = 16;

/// How much of an ID is shown.
const SHOWN: usize = 6;

/// What tells one build of a module from another. `srcversion` alone does not: the sources of a
/// module that is linked of finished objects are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub(super) version: Option<String>,
    pub(super) srcversion: Option<String>,
    build_id: Option<Vec<u8>>,
}

impl Identity {
    /// That of what a file holds.
    pub fn of_file(file: &ModuleFile) -> Self {
        let module = Module::parse(&file.bytes).ok();
        let build_id = module.and_then(|module| module.contents(BUILD_ID.as_bytes()));
        Identity {
            version: file.text(b"version"),
            srcversion: file.text(b"srcversion"),
            build_id: build_id.map(<[u8]>::to_vec),
        }
    }

    /// That of a module that is loaded.
    pub fn of_loaded(system: &System, name: &str) -> Self {
        let path = |file: &str| system.path(format!("/sys/module/{name}/{file}"));
        let text = |file: &str| read_if_there(&path(file)).ok().flatten();
        Identity {
            version: text("version"),
            srcversion: text("srcversion"),
            build_id: fs::read(path(&format!("notes/{BUILD_ID}"))).ok(),
        }
    }

    /// Whether both are one build; `None` where they do not tell.
    pub fn is_same(&self, other: &Self) -> Option<bool> {
        let ids = self.build_id.as_ref().zip(other.build_id.as_ref());
        if self.version != other.version
            || self.srcversion != other.srcversion
            || ids.is_some_and(|(one, other)| one != other)
        {
            return Some(false);
        }
        (ids.is_some() || self.srcversion.is_some()).then_some(true)
    }
}

/// Whether the module of this name that is loaded is the build that the file holds; `None` where that
/// cannot be told.
pub fn is_loaded(system: &System, name: &str, file: &Path) -> Option<bool> {
    let file = ModuleFile::read(file).ok()?;
    Identity::of_file(&file).is_same(&Identity::of_loaded(system, name))
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build_id = self.build_id.as_ref().and_then(|note| {
            let id = note.get(NOTE_HEADER..)?.iter().take(SHOWN);
            Some(id.map(|byte| format!("{byte:02x}")).collect::<String>())
        });
        let parts = [
            ("version", &self.version),
            ("srcversion", &self.srcversion),
            ("build ID", &build_id),
        ];
        let known: Vec<String> = parts
            .into_iter()
            .filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?)))
            .collect();
        match known[..] {
            [] => f.write_str("of no version"),
            _ => f.write_str(&known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    fn build(version: &str, srcversion: &str, build_id: &[u8]) -> Identity {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Identity {
            version: text(version),
            srcversion: text(srcversion),
            build_id: (!build_id.is_empty()).then(|| [&[0; 16], build_id].concat()),
        }
    }

    #[test]
    fn all_that_both_tell_has_to_agree() {
        let one = build("1", "AB", b"id");
        for (other, same) in [
            (build("1", "AB", b"id"), Some(true)),
            // Not every kernel shows it.
            (build("1", "AB", b""), Some(true)),
            (build("2", "AB", b"id"), Some(false)),
            (build("1", "AC", b"id"), Some(false)),
            (build("", "AB", b"id"), Some(false)),
            (build("1", "AB", b"it"), Some(false)),
        ] {
            assert_eq!(one.is_same(&other), same, "{other}");
            assert_eq!(other.is_same(&one), same, "{other}");
        }
        let by_id = build("", "", b"id");
        assert_eq!(by_id.is_same(&by_id), Some(true));
        let unknown = build("", "", b"");
        assert_eq!(unknown.is_same(&unknown), None);
        assert_eq!(unknown.is_same(&by_id), None);
    }

    #[test]
    fn what_is_known_is_shown() {
        let shown = build("1.2", "", b"\x01\xfe345678").to_string();
        assert_eq!(shown, "version 1.2, build ID 01fe33343536");
        assert_eq!(build("", "", b"").to_string(), "of no version");
    }
}
