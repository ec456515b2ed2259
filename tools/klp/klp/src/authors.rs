// SPDX-License-Identifier: GPL-2.0

//! Where that is which patches are built with: `scripts/Makefile.livepatch`, and the headers
//! beside it.

use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What a tree for authors of patches is recognised by.
const MAKEFILE: &str = "scripts/Makefile.livepatch";

/// The directory that `--livepatch` names; without it, where this klp was installed, or the
/// checkout that it was built from.
///
/// # Errors
///
/// There is none.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(dir) => fs::canonicalize(dir)
            .ok()
            .filter(|dir| dir.join(MAKEFILE).is_file())
            .with_context(|| format!("--livepatch {}: no {MAKEFILE} there", dir.display())),
        None => own()
            .with_context(|| format!("cannot find {MAKEFILE}: say where it is, with --livepatch")),
    }
}

fn own() -> Option<PathBuf> {
    let installed = env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.parent()?.join("share/livepatch-rs")));
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    [installed, Some(checkout)]
        .into_iter()
        .flatten()
        .find(|dir| dir.join(MAKEFILE).is_file())
        .and_then(|dir| fs::canonicalize(dir).ok())
}
