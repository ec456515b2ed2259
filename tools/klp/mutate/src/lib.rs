// SPDX-License-Identifier: GPL-2.0

//! Damaged livepatches: files that livepatch.ko must refuse, or load as if they were not damaged.
//!
//! [`mutant`] makes one of a good livepatch. A fault is one of [`faults`]; [`judge`] says what
//! has to become of the file, and leaves out what the kernel's own module loader trusts. Nothing
//! here is shared with `rust/format`, whose checks are what is tested.

pub mod faults;
pub mod file;
pub mod first;
pub mod judge;
pub mod pack;

use faults::{Fault, FAULTS};
use file::File;
use judge::{Base, Verdict};

/// A damaged livepatch.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// Which of the files it was made of.
    pub base: usize,
    /// What is in it.
    pub data: Vec<u8>,
    /// What was done to it.
    pub faults: Vec<String>,
    /// What has to become of it.
    pub verdict: Verdict,
}

/// How often another fault is tried before a mutant is given up.
const TRIES: usize = 2000;

/// Mutant `number` of a seed: the same one for the same files, whichever others are made.
///
/// `None` where no fault was found that can be tested, which a livepatch with relocations does
/// not come to.
pub fn mutant(bases: &[Base], seed: u64, number: u64) -> Option<Mutant> {
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
    // One that loads takes a transition: they are few, but they are there.
    let may_load = rng.u8(..8) == 0;
    for _ in 0..TRIES {
        let base = rng.usize(..bases.len());
        let Some((data, faults)) = damage(bases.get(base)?, &mut rng) else {
            continue;
        };
        let verdict = judge::judge(bases.get(base)?, &data);
        let wanted = match verdict {
            Verdict::Unsafe(_) => false,
            Verdict::Refused(_) | Verdict::RefusedFirst(_) => true,
            Verdict::Same => may_load,
        };
        if wanted {
            return Some(Mutant {
                base,
                data,
                faults,
                verdict,
            });
        }
    }
    None
}

/// One fault or several.
fn damage(base: &Base, rng: &mut fastrand::Rng) -> Option<(Vec<u8>, Vec<String>)> {
    let count = match rng.u8(..10) {
        0..7 => 1,
        7..9 => 2,
        _ => rng.usize(3..6),
    };
    let mut file = base.file.clone();
    let mut done = Vec::new();
    for _ in 0..count {
        let (name, fault) = FAULTS[rng.usize(..FAULTS.len())];
        if let Some(what) = apply(fault, &mut file, base, rng) {
            done.push(format!("{name}: {what}"));
        }
    }
    (!done.is_empty() && file.data != base.file.data).then_some((file.data, done))
}

/// A fault that cannot be made leaves the file as it was.
fn apply(fault: Fault, file: &mut File, base: &Base, rng: &mut fastrand::Rng) -> Option<String> {
    let mut changed = file.clone();
    let what = fault(&mut changed, base, rng)?;
    *file = changed;
    Some(what)
}
