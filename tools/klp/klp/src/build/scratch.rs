// SPDX-License-Identifier: GPL-2.0

//! A directory for what is made on the way.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A directory for what is made on the way.
pub struct Scratch {
    path: PathBuf,
    /// Removes it in the end.
    _temporary: Option<tempfile::TempDir>,
}

impl Scratch {
    pub fn new(keep: Option<&Path>, cache: &Path) -> Result<Self> {
        match keep {
            Some(dir) => {
                fs::create_dir(dir)
                    .with_context(|| format!("cannot make --keep {}", dir.display()))?;
                let path = fs::canonicalize(dir)?;
                Ok(Scratch {
                    path,
                    _temporary: None,
                })
            }
            None => {
                let made = tempfile::Builder::new().prefix("build-").tempdir_in(cache);
                let temporary =
                    made.with_context(|| format!("cannot write to {}", cache.display()))?;
                Ok(Scratch {
                    path: temporary.path().to_owned(),
                    _temporary: Some(temporary),
                })
            }
        }
    }

    /// A directory in it.
    pub fn sub(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }
}
