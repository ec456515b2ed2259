// SPDX-License-Identifier: GPL-2.0

//! Signals that klp was started without.

use std::fs;

/// Whether klp was started to ignore a signal, as `nohup` does it, or a shell for what runs in the
/// background of a script.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
