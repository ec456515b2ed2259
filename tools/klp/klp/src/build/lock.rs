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

/// Makes the file and locks it, when nobody else has it locked. `cannot` says what cannot be done.
///
/// # Errors
///
/// It cannot be made or locked; the build is to end.
pub fn create(path: &Path, cannot: impl Fn() -> String) -> Result<File> {
    let file = File::create(path).with_context(&cannot)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        interrupt::check()?;
        thread::sleep(PAUSE);
    }
}
