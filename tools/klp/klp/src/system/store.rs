// SPDX-License-Identifier: GPL-2.0

//! Where installed patches are kept.
//!
//! `var/lib/livepatch-rs/RELEASE/patches/NNNN-NAME.ko`: a directory for each kernel, in which the
//! numbers give the order that patches were installed in, and are loaded in. A patch has its
//! whole name at once or not at all: what an interrupted installation leaves begins with a dot.

use super::patch_file::PatchFile;
use super::System;
use crate::object_name::ObjectNameBuf;
use anyhow::{ensure, Context, Result};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Below the root directory. What DKMS keeps of livepatch.ko for a kernel is beside `patches`.
const BASE: &str = "var/lib/livepatch-rs";
const PATCHES: &str = "patches";
const LOCK: &str = ".lock";

/// A kernel's release, as `uname -r` prints it; good for the name of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(String);

impl Release {
    /// Checks a release.
    pub fn new(text: &str) -> Result<Self> {
        // The kernel's own limit: __NEW_UTS_LEN of include/uapi/linux/utsname.h.
        let good = (1..=64).contains(&text.len())
            && !text.starts_with('.')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte));
        ensure!(good, "'{}' is no kernel release", text.escape_default());
        Ok(Release(text.to_owned()))
    }

    /// That of the running kernel; `None` where no kernel runs, as in an image.
    pub fn running(system: &System) -> Result<Option<Self>> {
        system
            .release()
            .map(|release| Release::new(&release))
            .transpose()
    }

    /// It, as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An installed patch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its place in the order.
    pub number: u32,
    /// Its module's name.
    pub name: ObjectNameBuf,
    /// Its file.
    pub path: PathBuf,
}

impl Entry {
    /// Of a file's name; none where it is not a patch's.
    fn parse(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".ko")?;
        let (number, name) = stem.split_once('-')?;
        if number.len() < 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Entry {
            number: number.parse().ok()?,
            name: ObjectNameBuf::new(name.as_bytes()).ok()?,
            path: path.to_owned(),
        })
    }
}

/// What is installed below a root directory.
#[derive(Debug, Clone)]
pub struct Store {
    base: PathBuf,
}

impl Store {
    /// That of a system.
    pub fn of(system: &System) -> Self {
        Store {
            base: system.path(BASE),
        }
    }

    fn directory(&self, release: &Release) -> PathBuf {
        self.base.join(&release.0).join(PATCHES)
    }

    /// The patches for a kernel, in their order.
    pub fn entries(&self, release: &Release) -> Result<Vec<Entry>> {
        let directory = self.directory(release);
        let mut entries: Vec<_> = names(&directory)?
            .iter()
            .filter_map(|name| Entry::parse(&directory.join(name)))
            .collect();
        entries.sort();
        Ok(entries)
    }

    /// The kernels that have patches, each with them.
    pub fn all(&self) -> Result<Vec<(Release, Vec<Entry>)>> {
        let mut all = Vec::new();
        for name in names(&self.base)? {
            let Some(release) = name.to_str().and_then(|name| Release::new(name).ok()) else {
                continue;
            };
            // Others may keep their files here.
            if fs::metadata(self.base.join(name)).is_ok_and(|found| !found.is_dir()) {
                continue;
            }
            let entries = self.entries(&release)?;
            if !entries.is_empty() {
                all.push((release, entries));
            }
        }
        all.sort();
        Ok(all)
    }

    /// Puts a patch at the end of the order; one that is there already is replaced, and keeps
    /// its place. Returns it, and whether it was there.
    pub fn install(&self, patch: &PatchFile) -> Result<(Entry, bool)> {
        let directory = self.directory(&patch.release);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let _lock = lock(&directory)?;
        let entries = self.entries(&patch.release)?;
        let replaced = entries.iter().find(|entry| entry.name == patch.name);
        let entry = match replaced {
            Some(entry) => entry.clone(),
            None => {
                let last = entries.last().map_or(0, |entry| entry.number);
                let number = last.checked_add(1).context("no number is left")?;
                Entry {
                    number,
                    name: patch.name.clone(),
                    path: directory.join(format!("{number:04}-{}.ko", patch.name)),
                }
            }
        };
        write(&directory, &entry.path, &patch.bytes)
            .with_context(|| format!("cannot write {}", entry.path.display()))?;
        Ok((entry, replaced.is_some()))
    }

    /// Removes a patch for a kernel. One that is gone already is fine.
    pub fn uninstall(&self, release: &Release, name: &ObjectNameBuf) -> Result<()> {
        let directory = self.directory(release);
        if !directory.exists() {
            return Ok(());
        }
        let _lock = lock(&directory)?;
        for entry in self.entries(release)? {
            if entry.name == *name {
                fs::remove_file(&entry.path)
                    .with_context(|| format!("cannot remove {}", entry.path.display()))?;
            }
        }
        File::open(&directory).and_then(|directory| directory.sync_all())?;
        Ok(())
    }
}

/// What is installed for the running kernel; `None` where no kernel runs.
pub fn of_running(system: &System) -> Result<Option<(Release, Vec<Entry>)>> {
    let Some(release) = Release::running(system)? else {
        return Ok(None);
    };
    let entries = Store::of(system).entries(&release)?;
    Ok(Some((release, entries)))
}

/// The names in a directory; none where there is no directory.
fn names(directory: &Path) -> Result<Vec<std::ffi::OsString>> {
    let read = || -> io::Result<Vec<_>> {
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.with_context(|| format!("cannot read {}", directory.display())),
    }
}

/// Keeps others from choosing the same number.
fn lock(directory: &Path) -> Result<File> {
    let take = || {
        let file = File::create(directory.join(LOCK))?;
        file.lock()?;
        Ok::<_, io::Error>(file)
    };
    take().with_context(|| format!("cannot lock {}", directory.display()))
}

/// Whole and on the disk, or not at all: a machine that goes down now is to come up again.
fn write(directory: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(OsStr::new(".new-"))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()?;
    Ok(())
}
