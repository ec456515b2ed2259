// SPDX-License-Identifier: GPL-2.0

//! A build directory for a kernel of which there are only headers: its source is prepared there
//! with its configuration, once.

use super::fingerprint;
use super::kdir::{Config, Kdir};
use super::lock;
use super::make;
use anyhow::{ensure, Context, Result};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

/// What says that a directory is complete, and of which files.
const DONE: &str = ".klp-prepared";

/// What keeps others from writing there.
const LOCK: &str = ".klp-lock";
/// How records come into the directory: it grows when they come out otherwise than before.
const RECORDS: u32 = 2;

/// What is in a source and does not get into a kernel.
const NO_CODE: &[&str] = &[".git", "Documentation"];

/// Options that say what the configuration was made with, and change no code by themselves.
const ABOUT_TOOLS: [&str; 6] = [
    "CC_VERSION_TEXT",
    "PAHOLE_VERSION",
    "RUSTC_VERSION_TEXT",
    "BINDGEN_VERSION_TEXT",
    "RUSTC_VERSION",
    "RUSTC_LLVM_VERSION",
];

/// How many options are shown that differ.
const SHOWN: usize = 5;

/// Prepares the source for the kernel of `kdir`, in a directory below `cache` that is there
/// already if it was done before, of the same files. `begin` is called if it was not, and learns
/// whether it was done of others: what was built of those tells nothing any more. `wait` is called if
/// another build does it just now. While the file that is returned is open, nobody else writes there.
///
/// # Errors
///
/// The configuration comes out otherwise than the kernel's, or make fails.
pub fn prepare(
    source: &Path,
    kdir: &Kdir,
    cache: &Path,
    jobs: usize,
    wait: impl FnOnce(),
    begin: impl FnOnce(bool),
) -> Result<(PathBuf, File)> {
    let config = [".config", "include/config/auto.conf"]
        .map(|name| kdir.path.join(name))
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("{} has no .config", kdir.path.display()))?;
    let text = fs::read(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let mut hasher = DefaultHasher::new();
    (source, &text, env!("CARGO_PKG_VERSION"), RECORDS).hash(&mut hasher);
    let name = format!("{}-{:016x}", kdir.release, hasher.finish());
    let directory = cache.join(name);
    let shown = directory.display();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {shown}"))?;
    // Two builds at the same time share it.
    let lock = lock::create(
        &directory.join(LOCK),
        || format!("cannot lock {shown}"),
        wait,
    )?;
    let stamp = fingerprint::of(source, NO_CODE, false)?;
    let done = fs::read_to_string(directory.join(DONE)).ok();
    if done.as_ref() != Some(&stamp) {
        begin(done.is_some());
        clear(&directory).with_context(|| format!("cannot remove what is in {shown}"))?;
        let made = make_tree(source, kdir, &directory, &text, jobs)
            .and_then(|()| write(&directory.join(DONE), stamp.as_bytes()));
        if made.is_err() {
            // Half of it is of no use.
            let _ = clear(&directory);
        }
        made?;
    }
    Ok((directory, lock))
}

/// Prepares the source with this configuration in an empty directory.
fn make_tree(
    source: &Path,
    kdir: &Kdir,
    directory: &Path,
    config: &[u8],
    jobs: usize,
) -> Result<()> {
    write(&directory.join(".config"), config)?;
    let run = |target: &str, what: &str| {
        let mut command = make::make(source, kdir.machine, &kdir.config, Some(&kdir.release));
        command
            .arg(format!("O={}", directory.display()))
            .arg(format!("-j{jobs}"))
            .arg(target);
        make::run(&mut command, what)
    };
    run("olddefconfig", "configure the kernel's source")?;
    same_config(kdir, &Config::read(&directory.join(".config"))?)?;
    run("modules_prepare", "prepare the kernel's source")?;
    let symvers = kdir.path.join("Module.symvers");
    if symvers.is_file() {
        let copy = directory.join("Module.symvers");
        fs::copy(&symvers, &copy)
            .with_context(|| format!("cannot copy {} to {}", symvers.display(), copy.display()))?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes all that is in a directory but the lock.
fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Checks that the source has been configured as the kernel was.
fn same_config(kdir: &Kdir, made: &Config) -> Result<()> {
    let differ: Vec<_> = kdir
        .config
        .differences(made)
        .filter(|(name, ..)| !ABOUT_TOOLS.contains(name))
        .map(|(name, before, now)| {
            let value = |value: Option<&str>| value.unwrap_or("not set").to_owned();
            format!("{name} is {} in place of {}", value(now), value(before))
        })
        .collect();
    ensure!(
        differ.is_empty(),
        "the configuration of the kernel {} does not come out the same here: {}{}; install what \
         it was built with (compiler, pahole, rustc), or give the source of that version",
        kdir.release,
        differ[..differ.len().min(SHOWN)].join(", "),
        match differ.len() {
            count if count > SHOWN => format!(" and {} more", count - SHOWN),
            _ => String::new(),
        }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing;
    use std::time::{Duration, SystemTime};

    /// A source that is configured and prepared, and headers of a kernel of it.
    struct Sources {
        directory: tempfile::TempDir,
    }

    impl Sources {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let makefile = "olddefconfig: ;\nmodules_prepare:\n\
                            \t@test $(KERNELRELEASE) = 7.3.4-x\n\
                            \tcp include/linux/x.h $(O)/generated.h\n";
            let config = "CONFIG_X86_64=y\n";
            for (name, text) in [
                ("source/Makefile", makefile),
                ("source/include/linux/x.h", "1\n"),
                ("source/Documentation/x", "1\n"),
                ("headers/.config", config),
                ("headers/include/config/auto.conf", config),
                ("headers/include/config/kernel.release", "7.3.4-x\n"),
            ] {
                testing::write(&directory.path().join(name), text);
            }
            Sources { directory }
        }

        /// Writes a file of the source, as tar does it: with a time from before.
        fn unpack(&self, name: &str, text: &str, seconds: u64) {
            let path = self.directory.path().join("source").join(name);
            testing::write(&path, text);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let file = File::options().write(true).open(path);
            file.and_then(|file| file.set_modified(time))
                .expect("its time is set");
        }

        /// Prepares it: where, and whether that was done before.
        fn prepare(&self) -> (PathBuf, Option<bool>) {
            let path = |name: &str| self.directory.path().join(name);
            let kdir = Kdir::open(&path("headers")).expect("they are headers");
            let mut begun = None;
            let source = path("source");
            let begin = |is_anew| begun = Some(is_anew);
            let prepared = prepare(&source, &kdir, &path("cache"), 1, || {}, begin);
            (
                prepared.expect("make, which this test needs, runs").0,
                begun,
            )
        }
    }

    #[test]
    fn a_source_that_was_unpacked_anew_is_prepared_anew() {
        let sources = Sources::new();
        sources.unpack("include/linux/x.h", "1\n", 2_000);
        let (directory, begun) = sources.prepare();
        assert_eq!(begun, Some(false));
        let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
        assert_eq!(read("generated.h").as_deref(), Some("1\n"));
        testing::write(&directory.join("fs/.one.o.cmd"), "a record");
        // What gets into no kernel does not count.
        sources.unpack("Documentation/x", "2\n", 3_000);
        assert_eq!(sources.prepare(), (directory.clone(), None));
        assert!(read("fs/.one.o.cmd").is_some());
        // Older than what was made of the other one: make sees nothing of it.
        sources.unpack("include/linux/x.h", "2\n", 1_000);
        assert_eq!(sources.prepare(), (directory.clone(), Some(true)));
        assert_eq!(read("generated.h").as_deref(), Some("2\n"));
        assert_eq!(read("fs/.one.o.cmd"), None);
        assert_eq!(sources.prepare(), (directory.clone(), None));
        // A local edit.
        sources.unpack("include/linux/x.h", "30\n", 1_000);
        assert_eq!(sources.prepare(), (directory, Some(true)));
    }
}
