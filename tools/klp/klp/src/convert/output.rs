// SPDX-License-Identifier: GPL-2.0

//! Puts the result in place: whole and verified, or not at all.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Writes `bytes` to `path`. `verify` sees what can be read back, before it gets its name there.
/// Permissions are those of `model`.
pub(crate) fn write(
    path: &Path,
    model: &Path,
    bytes: &[u8],
    verify: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let put = || -> Result<()> {
        let file = tempfile::Builder::new()
            .prefix(".klp-")
            .tempfile_in(directory)?;
        fs::write(file.path(), bytes)?;
        fs::set_permissions(file.path(), fs::metadata(model)?.permissions())?;
        verify(&fs::read(file.path())?)?;
        file.persist(path)?;
        Ok(())
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}
