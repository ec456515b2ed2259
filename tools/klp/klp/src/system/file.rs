// SPDX-License-Identifier: GPL-2.0

//! Module files.

use super::System;
use anyhow::{bail, Context, Result};
use livepatch_format::modinfo;
use std::fs;
use std::path::{Path, PathBuf};

/// How a module file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip(1)
    Gzip,
    /// xz(1)
    Xz,
    /// zstd(1)
    Zstd,
}

impl Compression {
    /// By the first bytes of the file.
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// As `/sys/module/compression` has it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }

    /// The command that undoes it.
    fn undone_by(self) -> &'static str {
        match self {
            Compression::Gzip => "gunzip -k",
            Compression::Xz => "unxz -k",
            Compression::Zstd => "unzstd",
        }
    }
}

/// A module file, and what it says of itself.
#[derive(Debug)]
pub struct ModuleFile {
    /// Where it is.
    pub path: PathBuf,
    /// The name that the kernel will know it by.
    pub name: String,
    /// `None` for a file that is not.
    pub compression: Option<Compression>,
    /// Whether it says that it is a livepatch; not known of compressed ones.
    pub livepatch: Option<bool>,
    /// The kernel that it was built for.
    pub vermagic: Option<String>,
}

impl ModuleFile {
    /// Looks into the file. What its contents are is left to the kernel to judge.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let compression = Compression::of(&bytes);
        if compression.is_none() && !bytes.starts_with(b"\x7fELF") {
            bail!("{} is no kernel module: it is no ELF file", path.display());
        }
        let info = match modinfo::locate(&bytes) {
            Ok(Some(range)) => bytes.get(range),
            _ => None,
        };
        let text = |key: &[u8]| {
            let value = modinfo::value(info?, key)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        Ok(ModuleFile {
            name: text(b"name").unwrap_or_else(|| name_of_file(path)),
            livepatch: info.map(|info| modinfo::value(info, modinfo::LIVEPATCH).is_some()),
            vermagic: text(b"vermagic"),
            path: path.to_owned(),
            compression,
        })
    }

    /// Ends with what to do where the kernel cannot read the file.
    pub fn check_compression(&self, system: &System) -> Result<()> {
        let Some(compression) = self.compression else {
            return Ok(());
        };
        let known = super::read_if_there(&system.path("/sys/module/compression"))
            .ok()
            .flatten();
        if known.as_deref() == Some(compression.name()) {
            return Ok(());
        }
        let reads = match known {
            Some(known) => format!("this kernel reads modules compressed with {known} only"),
            None => "this kernel reads no compressed modules".to_owned(),
        };
        bail!(
            "{path} is compressed with {}, and {reads}: uncompress it first, with '{} {path}'",
            compression.name(),
            compression.undone_by(),
            path = self.path.display(),
        );
    }
}

/// The module that a file of this name holds, if it does not say itself.
pub(crate) fn name_of_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(".ko").next().unwrap_or_default();
    module_name(stem)
}

/// As the kernel writes it.
fn module_name(name: &str) -> String {
    name.replace('-', "_")
}

/// The module that a user names: by its name, or by the file that it was inserted from.
pub fn name_of_argument(argument: &str) -> String {
    let path = Path::new(argument);
    let is_file = argument.contains('/') || argument.contains(".ko");
    match ModuleFile::read(path) {
        Ok(file) if is_file => file.name,
        // The file need not be there any more.
        _ if is_file => name_of_file(path),
        _ => module_name(argument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_its_name_or_its_file() {
        for (argument, name) in [
            ("livepatch_cmdline", "livepatch_cmdline"),
            ("livepatch-cmdline", "livepatch_cmdline"),
            ("livepatch-cmdline.ko", "livepatch_cmdline"),
            ("no/such/livepatch-cmdline.ko.gz", "livepatch_cmdline"),
            ("./livepatch-cmdline", "livepatch_cmdline"),
        ] {
            assert_eq!(name_of_argument(argument), name, "{argument}");
        }
    }

    #[test]
    fn compression_is_told_by_the_first_bytes() {
        assert_eq!(Compression::of(b"\x1f\x8b\x08"), Some(Compression::Gzip));
        assert_eq!(Compression::of(b"\xfd7zXZ\0"), Some(Compression::Xz));
        assert_eq!(
            Compression::of(b"\x28\xb5\x2f\xfd\x24"),
            Some(Compression::Zstd)
        );
        assert_eq!(Compression::of(b"\x7fELF"), None);
        assert_eq!(Compression::of(b""), None);
    }
}
