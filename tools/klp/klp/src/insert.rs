// SPDX-License-Identifier: GPL-2.0

//! Inserting a patch's module, and the end of its transition.

use crate::object_name::ObjectNameBuf;
use anyhow::{bail, ensure, Context, Result};
use rustix::io::Errno;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const PATCHES: &str = "/sys/kernel/livepatch";
const POLL: Duration = Duration::from_millis(50);

/// Whether the kernel loads livepatches, by itself or with livepatch.ko.
pub fn has_support() -> bool {
    Path::new(PATCHES).is_dir()
}

/// Whether a module is loaded, and has come to its end of loading.
pub fn is_loaded(module: &ObjectNameBuf) -> bool {
    Path::new("/sys/module").join(module.as_str()).is_dir()
}

/// Whether a patch is in effect, or on its way there.
pub fn is_enabled(patch: &ObjectNameBuf) -> bool {
    let file = Path::new(PATCHES).join(patch.as_str()).join("enabled");
    fs::read_to_string(file).is_ok_and(|text| text.trim() == "1")
}

/// Inserts a livepatch and waits until it is in effect.
pub fn insert_and_wait(path: &Path, name: &ObjectNameBuf, timeout: Duration) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    rustix::system::finit_module(&file, c"", 0).map_err(|errno| refusal(path, errno))?;
    let directory = Path::new(PATCHES).join(name.as_str());
    let end = Instant::now() + timeout;
    loop {
        match fs::read_to_string(directory.join("transition")) {
            Ok(text) if text.trim() == "0" => break,
            Ok(_) => {}
            Err(error) => {
                let there = format!("it was inserted, but {}", directory.display());
                return Err(error).context(there);
            }
        }
        if Instant::now() >= end {
            bail!(
                "its transition has not ended after {} s: {}",
                timeout.as_secs(),
                blockers(name)
            );
        }
        thread::sleep(POLL);
    }
    ensure!(
        is_enabled(name),
        "it was inserted, but somebody has disabled it"
    );
    Ok(())
}

fn refusal(path: &Path, errno: Errno) -> anyhow::Error {
    anyhow::Error::from(errno).context(format!(
        "the kernel refuses {} (its log says why)",
        path.display()
    ))
}

/// What a transition waits for, where livepatch.ko tells.
fn blockers(name: &ObjectNameBuf) -> String {
    let file: PathBuf = ["/sys/kernel/debug/livepatch", name.as_str(), "blockers"]
        .iter()
        .collect();
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    match lines.is_empty() {
        true => "what it waits for is not known".to_owned(),
        false => format!("it waits for {}", lines.join(", ")),
    }
}
