// SPDX-License-Identifier: GPL-2.0

//! What the kernel notes down about itself; see `Documentation/admin-guide/tainted-kernels.rst` of
//! the kernel source.

use super::{read_if_there, System};

/// Those that loading a livepatch can set: their bit, and what they say.
const OF_MODULES: [(u32, &str); 6] = [
    (0, "P (a module with a proprietary licence)"),
    (1, "F (a module that was loaded by force)"),
    (10, "C (a staging module)"),
    (12, "O (a module from outside of the kernel's source)"),
    (13, "E (a module that is not signed)"),
    (15, "K (a livepatch)"),
];

/// The kernel's taint flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taints(u64);

impl Taints {
    /// Those that are set now.
    pub fn read(system: &System) -> Self {
        let text = read_if_there(&system.path("/proc/sys/kernel/tainted"));
        let text = text.ok().flatten().unwrap_or_default();
        Taints(text.parse().unwrap_or_default())
    }

    /// What those say that were not set `before`.
    pub fn since(self, before: Self) -> Vec<&'static str> {
        let new = self.0 & !before.0;
        OF_MODULES
            .iter()
            .filter(|(bit, _)| new >> bit & 1 != 0)
            .map(|&(_, text)| text)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Taints;

    #[test]
    fn only_new_flags_are_told() {
        let (before, after) = (Taints(1 << 12), Taints(1 << 12 | 1 << 13 | 1 << 15));
        assert_eq!(
            after.since(before),
            ["E (a module that is not signed)", "K (a livepatch)"]
        );
        assert!(before.since(after).is_empty());
    }
}
