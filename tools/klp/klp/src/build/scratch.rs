// SPDX-License-Identifier: GPL-2.0

//! A directory for what is made on the way.

use super::lock;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What such directories in a cache are called, in the beginning.
const PREFIX: &str = "build-";

/// What tells such a directory from one of the user's, which a cache is in as well.
const MARK: &str = ".klp-scratch";

/// A directory for what is made on the way.
pub struct Scratch {
    path: PathBuf,
    /// Removes it in the end.
    _temporary: Option<tempfile::TempDir>,
    /// Locked as long as it is used.
    _lock: Option<File>,
}

impl Scratch {
    /// The new directory `keep`, or one in `cache` that goes away in the end. What builds that were
    /// killed have left there goes away now.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new(keep: Option<&Path>, cache: &Path) -> Result<Self> {
        if let Some(dir) = keep {
            fs::create_dir(dir).with_context(|| format!("cannot make --keep {}", dir.display()))?;
            return Ok(Scratch {
                path: fs::canonicalize(dir)?,
                _temporary: None,
                _lock: None,
            });
        }
        let cannot = || {
            format!(
                "cannot write to {}: give another directory with --cache",
                cache.display()
            )
        };
        // Nobody removes what is not locked yet.
        let _others = lock::create(&cache.join(".klp-lock"), cannot, || {})?;
        sweep(cache);
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache);
        let temporary = made.with_context(cannot)?;
        File::create(temporary.path().join(MARK)).with_context(cannot)?;
        let lock = File::open(temporary.path()).with_context(cannot)?;
        lock.lock().with_context(cannot)?;
        Ok(Scratch {
            path: temporary.path().to_owned(),
            _temporary: Some(temporary),
            _lock: Some(lock),
        })
    }

    /// A directory in it.
    pub fn sub(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }
}

/// Removes the directories that nobody has locked. One that cannot be removed is in nobody's way.
fn sweep(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let is_ours = || entry.path().join(MARK).is_file();
        let is_left = || File::open(entry.path()).is_ok_and(|dir| dir.try_lock().is_ok());
        if is_ours() && is_left() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_has_left_goes_away() {
        let cache = tempfile::tempdir().expect("a directory");
        let entries = || {
            let names = fs::read_dir(cache.path()).expect("it is there");
            let names = names.map(|entry| entry.expect("it can be read").file_name());
            names.filter(|name| name != ".klp-lock").count()
        };
        let one = Scratch::new(None, cache.path()).expect("it is made");
        fs::create_dir(cache.path().join("build-left")).expect("a directory");
        for name in [MARK, "x"] {
            fs::write(cache.path().join("build-left").join(name), "").expect("a file");
        }
        let other = Scratch::new(None, cache.path()).expect("it is made");
        other.sub("a").expect("it is made");
        one.sub("b").expect("it is there still");
        assert_eq!(entries(), 2);
        drop((one, other));
        assert_eq!(entries(), 0);
    }
    #[test]
    fn directories_of_others_stay() {
        let cache = tempfile::tempdir().expect("a directory");
        let theirs = cache.path().join("build-x86/vmlinux");
        crate::build::testing::write(&theirs, "");
        Scratch::new(None, cache.path()).expect("it is made");
        assert!(theirs.is_file());
    }
}
