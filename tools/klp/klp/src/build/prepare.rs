// SPDX-License-Identifier: GPL-2.0

//! A build directory for a kernel of which there are only headers: its source is prepared there
//! with its configuration, once.

use super::kdir::{Config, Kdir};
use super::make;
use anyhow::{ensure, Context, Result};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// What says that a directory is complete.
const DONE: &str = ".klp-prepared";

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
/// already if it was done before. `begin` is called if it was not. While the file that is returned
/// is open, nobody else writes there.
///
/// # Errors
///
/// The configuration comes out otherwise than the kernel's, or make fails.
pub fn prepare(
    source: &Path,
    kdir: &Kdir,
    cache: &Path,
    jobs: usize,
    begin: impl FnOnce(),
) -> Result<(PathBuf, File)> {
    let config = [".config", "include/config/auto.conf"]
        .map(|name| kdir.path.join(name))
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("{} has no .config", kdir.path.display()))?;
    let text = fs::read(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let mut hasher = DefaultHasher::new();
    (source, &text, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    let name = format!("{}-{:016x}", kdir.release, hasher.finish());
    let directory = cache.join(name);
    let shown = directory.display();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {shown}"))?;
    // Two builds at the same time share it.
    let lock = File::create(directory.join(".klp-lock"))
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {shown}"))?;
    if !directory.join(DONE).is_file() {
        begin();
        fs::write(directory.join(".config"), &text)
            .with_context(|| format!("cannot write to {shown}"))?;
        let run = |target: &str, what: &str| {
            let mut command = make::make(kdir, source);
            command
                .arg(format!("O={shown}"))
                .arg(format!("KERNELRELEASE={}", kdir.release))
                .arg(format!("-j{jobs}"))
                .arg(target);
            // What is found here of Rust would get into the configuration.
            if !kdir.config.is_set("RUST") {
                command.arg("RUSTC=false");
            }
            make::run(&mut command, what)
        };
        run("olddefconfig", "configure the kernel's source")?;
        same_config(kdir, &Config::read(&directory.join(".config"))?)?;
        run("modules_prepare", "prepare the kernel's source")?;
        let symvers = kdir.path.join("Module.symvers");
        if symvers.is_file() {
            fs::copy(&symvers, directory.join("Module.symvers"))
                .with_context(|| format!("cannot copy {}", symvers.display()))?;
        }
        fs::write(directory.join(DONE), "")?;
    }
    Ok((directory, lock))
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
