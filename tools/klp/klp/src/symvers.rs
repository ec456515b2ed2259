// SPDX-License-Identifier: GPL-2.0

//! `Module.symvers`: which symbols are exported, and by whom.
//!
//! A line is `crc <tab> symbol <tab> module <tab> export type <tab> namespace`; see
//! `Documentation/kbuild/modules.rst` of the kernel source.

use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What a namespace begins with that is the modules which may use its symbols: those of
/// `EXPORT_SYMBOL_FOR_MODULES()`.
const FOR_MODULES: &[u8] = b"module:";

/// Exported symbols.
#[derive(Debug, Default)]
pub struct Symvers {
    /// By symbol.
    exports: BTreeMap<Vec<u8>, Export>,
}

#[derive(Debug)]
struct Export {
    /// The exporting module, as the kernel knows it.
    module: String,
    namespace: Vec<u8>,
}

impl Export {
    fn is_reserved(&self) -> bool {
        self.namespace.starts_with(FOR_MODULES)
    }
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
            let namespace = fields.next().unwrap_or_default();
            self.exports
                .entry(symbol.to_vec())
                .or_insert_with(|| Export {
                    module: module_name(module),
                    namespace: namespace.to_vec(),
                });
        }
        Ok(())
    }

    /// Adds symbols that `module` is known to export, where no file lists them.
    pub fn assume(&mut self, module: &str, symbols: &[&str]) {
        for symbol in symbols {
            let export = Export {
                module: module.to_owned(),
                namespace: Vec::new(),
            };
            self.exports
                .entry(symbol.as_bytes().to_vec())
                .or_insert(export);
        }
    }

    /// Whether it lists what `module` exports.
    pub fn knows(&self, module: &str) -> bool {
        self.exports.values().any(|export| export.module == module)
    }

    /// The module that exports the symbol to a patch, or `vmlinux`. For a patch, a symbol that is
    /// exported to modules of certain names only is one that is not exported.
    pub fn exporter(&self, symbol: &[u8]) -> Option<&str> {
        let export = self.exports.get(symbol)?;
        (!export.is_reserved()).then_some(export.module.as_str())
    }

    /// Whether a symbol is exported to modules of certain names only.
    pub fn is_reserved(&self, symbol: &[u8]) -> bool {
        self.exports.get(symbol).is_some_and(Export::is_reserved)
    }

    /// The namespace of an exported symbol, if it is in one.
    pub fn namespace(&self, symbol: &[u8]) -> Option<&[u8]> {
        let export = self.exports.get(symbol)?;
        Some(export.namespace.as_slice()).filter(|namespace| !namespace.is_empty())
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
    fn what_is_exported_to_others_only_is_not_exported() {
        let mut symvers = Symvers::default();
        symvers
            .parse(b"0x0\tinc_ucount\tvmlinux\tEXPORT_SYMBOL_GPL\tmodule:binfmt_misc,kvm-*\n")
            .unwrap();
        assert_eq!(symvers.exporter(b"inc_ucount"), None);
        assert!(symvers.is_reserved(b"inc_ucount"));
        let namespace = symvers.namespace(b"inc_ucount");
        assert_eq!(namespace, Some(b"module:binfmt_misc,kvm-*".as_slice()));
        assert!(symvers.knows("vmlinux"));
    }

    #[test]
    fn names_the_line_that_is_malformed() {
        let error = Symvers::default()
            .parse(b"0\ta\tb\tc\t\n0 a b c\n")
            .unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
