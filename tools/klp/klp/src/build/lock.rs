// SPDX-License-Identifier: GPL-2.0

//! Files that keep two builds from each other. A lock ends with the process that has it, however
//! that ends.

use super::interrupt;
use anyhow::{Context, Result};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How often is looked whether another build has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes the file and locks it, when nobody else has it locked. `cannot` says what cannot be done;
/// `wait` is called if somebody has.
///
/// # Errors
///
/// It cannot be made or locked; the build is to end.
pub fn create(path: &Path, cannot: impl Fn() -> String, wait: impl FnOnce()) -> Result<File> {
    let file = File::create(path).with_context(&cannot)?;
    let mut wait = Some(wait);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        interrupt::check()?;
        if let Some(wait) = wait.take() {
            wait();
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let create = |wait: &dyn Fn()| create(&path, || "cannot lock".to_owned(), wait);
        let first = create(&|| panic!("nobody has it")).expect("it is locked");
        // It ends when the one that waits says so.
        let (told, heard) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let heard = heard;
                heard.recv().expect("it waits");
                first.unlock().expect("it is unlocked");
            });
            create(&|| told.send(()).expect("it is heard")).expect("it is locked");
        });
    }
}
