// SPDX-License-Identifier: GPL-2.0

//! A module's file: what it holds, however it is compressed, and what it says of itself.

use super::module::Module;
use crate::description;
use anyhow::{anyhow, ensure, Context, Result};
use livepatch_format::modinfo;
use livepatch_kernel::unpack::Method;
use livepatch_kernel::Error;
use object::elf::ELFMAG;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// More than any module, also with its debug information.
const LARGEST: u64 = 1 << 30;

/// A module file, and what it says of itself.
#[derive(Debug)]
pub struct ModuleFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds, unpacked.
    pub bytes: Vec<u8>,
    /// With what it is compressed, as distributions install modules.
    pub compression: Option<Method>,
    /// Where it says something of itself.
    info: Option<Range<usize>>,
}

impl ModuleFile {
    /// Reads the file, and unpacks it. It need not be a module: each command says in its words what
    /// is wrong with one.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is compressed and damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut bytes = read(path).with_context(|| format!("cannot read {shown}"))?;
        let compression = Method::of(&bytes);
        if let Some(method) = compression {
            bytes = method
                .unpack(&bytes, LARGEST)
                .map_err(|error| match error {
                    Error::Unpack { method, why } => {
                        anyhow!("cannot unpack {shown} with {method}: {why}")
                    }
                    _ => anyhow!("{shown} would be more than {LARGEST} bytes long, unpacked"),
                })?;
        }
        Ok(ModuleFile {
            path: path.to_owned(),
            info: modinfo::locate(&bytes).ok().flatten(),
            bytes,
            compression,
        })
    }

    /// Ends a command that has nothing to do with other files.
    ///
    /// # Errors
    ///
    /// It is no module. What its contents are is left to the kernel to judge.
    pub fn need_module(&self) -> Result<()> {
        ensure!(
            self.bytes.starts_with(&ELFMAG),
            "{} is no kernel module: it is no ELF file",
            self.path.display()
        );
        Ok(())
    }

    /// What it says of itself.
    fn entries(&self) -> &[u8] {
        let range = self.info.clone().unwrap_or_default();
        self.bytes.get(range).unwrap_or_default()
    }

    /// Whether the patch in it replaces all earlier ones; `None` where the file does not tell.
    pub fn replaces(&self) -> Option<bool> {
        let module = Module::parse(&self.bytes).ok()?;
        match &description::patches(&module).ok()?[..] {
            [patch] => patch.replace,
            _ => None,
        }
    }

    /// Whether it says anything of itself.
    pub fn has_info(&self) -> bool {
        self.info.is_some()
    }

    /// What it says of itself under `key`.
    pub fn info(&self, key: &[u8]) -> Option<&[u8]> {
        modinfo::value(self.entries(), key)
    }

    /// The same, as text.
    pub fn text(&self, key: &[u8]) -> Option<String> {
        Some(String::from_utf8_lossy(self.info(key)?).into_owned())
    }

    /// All that it says of itself under `key`, as text.
    pub fn texts(&self, key: &[u8]) -> Vec<String> {
        modinfo::entries(self.entries())
            .filter(|(other, _)| *other == key)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The name that the kernel will know it by.
    pub fn name(&self) -> String {
        self.text(b"name")
            .unwrap_or_else(|| name_of_file(&self.path))
    }

    /// Whether it says that it is a livepatch; `None` where it says nothing of itself.
    pub fn is_livepatch(&self) -> Option<bool> {
        self.has_info()
            .then(|| self.info(modinfo::LIVEPATCH).is_some())
    }

    /// The parameters that it has.
    pub fn parameters(&self) -> BTreeSet<String> {
        // Both are `name:more`; of some there is only one.
        modinfo::entries(self.entries())
            .filter(|(key, _)| [&b"parm"[..], b"parmtype"].contains(key))
            .filter_map(|(_, value)| value.split(|&byte| byte == b':').next())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }
}

/// What is in a file, which may be a device that never ends.
fn read(path: &Path) -> Result<Vec<u8>> {
    let too_large = || anyhow!("it is larger than any module, more than {LARGEST} bytes");
    let file = File::open(path)?;
    ensure!(file.metadata()?.len() <= LARGEST, too_large());
    let mut bytes = Vec::new();
    file.take(LARGEST.saturating_add(1))
        .read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST, too_large());
    Ok(bytes)
}

/// The module that a file of this name holds, if it does not say itself.
pub(crate) fn name_of_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(".ko").next().unwrap_or_default();
    module_name(stem)
}

/// As the kernel writes it.
pub(crate) fn module_name(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a user names a file, and not a module.
pub(crate) fn is_path(argument: &str) -> bool {
    argument.contains('/') || argument.contains(".ko")
}

/// The module that a user names: by its name, or by the file that it was inserted from.
pub fn name_of_argument(argument: &str) -> String {
    if !is_path(argument) {
        return module_name(argument);
    }
    let path = Path::new(argument);
    match ModuleFile::read(path) {
        Ok(file) => file.name(),
        // The file need not be there any more.
        Err(_) => name_of_file(path),
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
}
