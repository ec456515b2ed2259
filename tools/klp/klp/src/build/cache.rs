// SPDX-License-Identifier: GPL-2.0

//! Objects that were compiled before.
//!
//! An entry is two files, called by a number that the command gives: the object, and what it was
//! made of. It counts only while the command is the same and every file that the compiler read, and
//! the compiler itself, has the size and the time that it had.

use super::command::Invocation;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A directory with objects.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

/// What an object was made of.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    command: Vec<String>,
    files: Vec<Stamp>,
}

/// A file as it was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    path: PathBuf,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            path: path.to_owned(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    fn is_before(&self, time: SystemTime) -> bool {
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = (time.as_secs(), i64::from(time.subsec_nanos()));
        let (seconds, nanoseconds) = self.modified;
        u64::try_from(seconds).is_ok_and(|seconds| (seconds, nanoseconds) < time)
    }
}

impl Cache {
    /// The cache in this directory, which is made if it is not there.
    pub fn new(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Cache {
            directory: directory.to_owned(),
        })
    }

    /// The object that the command made, if it would make the same one now.
    pub fn find(&self, command: &Invocation) -> Option<Vec<u8>> {
        let words = words(command);
        let (object, entry) = self.names(&words);
        // A damaged entry is none.
        let entry: Entry = serde_json::from_slice(&fs::read(entry).ok()?).ok()?;
        let is_same = entry.command == words
            && entry
                .files
                .iter()
                .all(|file| Stamp::of(&file.path).as_ref() == Some(file));
        is_same.then(|| fs::read(object).ok()).flatten()
    }

    /// Keeps the object that the command has made of `files`, which it named, since it `began`: of
    /// what was changed after that, it is not known what the compiler has read.
    pub fn keep(
        &self,
        command: &Invocation,
        files: &[PathBuf],
        object: &[u8],
        began: SystemTime,
    ) -> Result<()> {
        let words = words(command);
        let compiler = program(&command.program, &command.directory);
        let stamps: Option<Vec<_>> = files
            .iter()
            .map(|file| command.directory.join(file))
            .chain(compiler)
            .map(|file| Stamp::of(&file).filter(|stamp| stamp.is_before(began)))
            .collect();
        let Some(files) = stamps else {
            return Ok(());
        };
        let (object_name, entry_name) = self.names(&words);
        let entry = Entry {
            command: words,
            files,
        };
        // An object without its entry, or with one of an older object, must not be found.
        let _ = fs::remove_file(&entry_name);
        self.write(&object_name, object)?;
        self.write(&entry_name, &serde_json::to_vec(&entry)?)
    }

    fn names(&self, words: &[String]) -> (PathBuf, PathBuf) {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        let name = format!("{:016x}", hasher.finish());
        let path = |extension| self.directory.join(&name).with_extension(extension);
        (path("o"), path("json"))
    }

    /// Writes a file so that there is never half of it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let file = tempfile::NamedTempFile::new_in(&self.directory)?;
            fs::write(file.path(), bytes)?;
            file.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// All that tells one command from another, whose output may be anywhere.
fn words(command: &Invocation) -> Vec<String> {
    let mut words = vec![command.directory.display().to_string()];
    let set = |(name, value): &(String, String)| format!("{name}={value}");
    words.extend(command.environment.iter().map(set));
    words.push(command.program.clone());
    let mut arguments = command.arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-o" | "-MF" => _ = arguments.next(),
            _ => words.push(argument.clone()),
        }
    }
    words
}

/// Where the shell would find a program.
fn program(name: &str, directory: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(directory.join(name));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
