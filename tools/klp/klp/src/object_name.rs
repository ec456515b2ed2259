// SPDX-License-Identifier: GPL-2.0

//! The name of a patched object, owned.

use livepatch_format::error::NameFault;
use livepatch_format::name::{ObjectName, VMLINUX};
use std::fmt;

/// An owned [`ObjectName`]: a module's name, or `vmlinux`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectNameBuf(String);

impl ObjectNameBuf {
    /// The kernel itself.
    pub fn vmlinux() -> Self {
        ObjectNameBuf(String::from_utf8_lossy(VMLINUX).into_owned())
    }

    /// Checks an object name.
    pub fn new(name: &[u8]) -> Result<Self, NameFault> {
        ObjectName::new(name).map(|name| ObjectNameBuf(name.as_str().to_owned()))
    }

    /// Whether it is the kernel itself.
    pub fn is_vmlinux(&self) -> bool {
        self.0.as_bytes() == VMLINUX
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectNameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
