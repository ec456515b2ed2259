// SPDX-License-Identifier: GPL-2.0

//! `Module.symvers`: which symbols are exported, and by whom.
//!
//! A line is `crc <tab> symbol <tab> module <tab> export type <tab> namespace`; see
//! `Documentation/kbuild/modules.rst` of the kernel source.

use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Exported symbols.
#[derive(Debug, Default)]
pub struct Symvers {
    /// The exporting module, as the kernel knows it, by symbol.
    modules: BTreeMap<Vec<u8>, String>,
}

impl Symvers {
    /// Adds what a file says. Of two files that name a symbol, the first counts.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.parse(&text)
            .with_context(|| format!("{} is no Module.symvers", path.display()))
    }

    fn parse(&mut self, text: &[u8]) -> Result<()> {
        for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            if line.is_empty() {
                continue;
            }
            let mut fields = line.split(|&byte| byte == b'\t');
            let (Some(_crc), Some(symbol), Some(module), Some(_kind)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                bail!("line {number} has fewer than four fields separated by tabs");
            };
            self.modules
                .entry(symbol.to_vec())
                .or_insert_with(|| module_name(module));
        }
        Ok(())
    }

    /// Whether it lists what `module` exports.
    pub fn knows(&self, module: &str) -> bool {
        self.modules.values().any(|name| name == module)
    }

    /// The module that exports the symbol, or `vmlinux`.
    pub fn exporter(&self, symbol: &[u8]) -> Option<&str> {
        self.modules.get(symbol).map(String::as_str)
    }
}

/// From the path that stands in the file to the name that the kernel uses.
fn module_name(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.rsplit('/')
        .next()
        .unwrap_or_default()
        .replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::Symvers;

    #[test]
    fn takes_the_module_name_from_its_path() {
        let mut symvers = Symvers::default();
        symvers
            .parse(b"0x00000000\tkmalloc\tvmlinux\tEXPORT_SYMBOL\t\n0x1\tfoo\ta/b/my-mod\tEXPORT_SYMBOL_GPL\tNS\n")
            .unwrap();
        assert_eq!(symvers.exporter(b"kmalloc"), Some("vmlinux"));
        assert_eq!(symvers.exporter(b"foo"), Some("my_mod"));
        assert_eq!(symvers.exporter(b"bar"), None);
    }

    #[test]
    fn names_the_line_that_is_malformed() {
        let error = Symvers::default()
            .parse(b"0\ta\tb\tc\t\n0 a b c\n")
            .unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
