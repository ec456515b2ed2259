// SPDX-License-Identifier: GPL-2.0

//! Whether files are those that they were.
//!
//! make compares times, and so does not see a source that was unpacked anew: an archive's files keep
//! the times that they had when it was made. What was built of them before is newer, whatever is in
//! them now. So the size and the time of every file count here, whether they are older or newer.

use super::external;
use super::interrupt;
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A number for the names, sizes and times of all files below a directory, but for modules and those
/// `without`, which are directly in it. Where symbolic links lead counts only with `follow`.
///
/// # Errors
///
/// They cannot be read; the build is to end.
pub fn of(directory: &Path, without: &[&str], follow: bool) -> Result<String> {
    let cannot = || format!("cannot read {}", directory.display());
    let mut parts = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let is_without = without.iter().any(|name| entry.file_name() == *name);
        if !is_without && !is_made(&entry.path()) {
            parts.push(entry.path());
        }
    }
    parts.sort();
    let parts: Vec<u64> = parts
        .par_iter()
        .map(|part| of_part(part, follow))
        .collect::<Result<_>>()?;
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Whether it is a module: that is no source, and klp build itself may have put it there.
fn is_made(path: &Path) -> bool {
    external::is_linked(path) && path.is_file()
}

fn of_part(part: &PathBuf, follow: bool) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let entries = walkdir::WalkDir::new(part)
        .follow_links(follow)
        .sort_by_file_name();
    for entry in entries {
        interrupt::check()?;
        let read = || format!("cannot read {}", part.display());
        let entry = match entry {
            Err(error) if external::leads_nowhere(&error) => continue,
            entry => entry.with_context(read)?,
        };
        if is_made(entry.path()) {
            continue;
        }
        entry.path().hash(&mut hasher);
        // The time of a directory is that of the last change in it.
        if !entry.file_type().is_dir() {
            let metadata = entry.metadata().with_context(read)?;
            (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing::write;
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    #[test]
    fn another_size_time_or_name_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let set = |time: SystemTime| {
            let file = File::options().write(true).open(path("a/x.h"));
            file.and_then(|file| file.set_modified(time))
                .expect("its time is set");
        };
        let now = || of(directory.path(), &["skipped"], false).expect("it can be read");
        write(&path("a/x.h"), "1\n");
        set(old);
        let first = now();
        write(&path("skipped/y"), "");
        assert_eq!(now(), first);
        // As it was: tar sets the times that it knows.
        write(&path("a/x.h"), "1\n");
        set(old);
        assert_eq!(now(), first);
        // Older than what was built of the first one, and the same size.
        write(&path("a/x.h"), "2\n");
        set(old + Duration::from_secs(1));
        assert_ne!(now(), first);
        write(&path("a/x.h"), "1 \n");
        set(old);
        assert_ne!(now(), first);
        write(&path("a/x.h"), "1\n");
        set(old);
        // What was built is no source.
        write(&path("livepatch-x.ko"), "");
        write(&path("a/x.ko"), "");
        assert_eq!(now(), first);
        write(&path("a/z.h"), "");
        assert_ne!(now(), first);
    }
}
