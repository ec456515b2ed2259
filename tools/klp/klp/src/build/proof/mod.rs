// SPDX-License-Identifier: GPL-2.0

//! Proves that an object is a part of a kernel or module, and finds where.
//!
//! A livepatch that is made of other sources, with another compiler or another configuration than
//! the kernel was, crashes it, or does nothing. That it is made of the same can be seen: a file
//! that is compiled again has, byte for byte, the functions that the kernel has.
//!
//! | | |
//! | --- | --- |
//! | [`object`] | the object, as the compiler has made it |
//! | [`target`] | the kernel or module, as its file has it |
//! | [`place`] | where the sections of one are in the other |
//! | [`compare`] | whether a function is the same |
//! | [`fields`] | what a linker has written in place of a relocation |
//! | [`changes`] | what objtool changes after the compiler |
//!
//! # What is compared
//!
//! All functions of the object, each from its first byte to its last one; what fills up between
//! them does not count. Where the compiler has left a relocation, what the linker has written has
//! to lead to what the relocation names: to the place where the object has it, to a symbol of that
//! name, or to the same string. Only what cannot be known is left out: variables of other files of
//! a kernel that does not list its variables, and where a static branch leads that objtool has made
//! a nop of. What data holds is compared only where a section has no names by which to find it.
//!
//! # What may be absent
//!
//! Functions that the kernel discards (`.exit.text` of what is built in), weak ones of which
//! another file has a better one, those in a group of which the linker keeps one for all files,
//! and those that have a section of their own, which the linker may find unused. Any other
//! function of the object has to be there.

mod changes;
mod compare;
mod fields;
mod object;
mod place;
mod target;

pub use compare::{Difference, What};
pub use place::Placement;
pub use target::{Spot, Target};

use compare::{judge, shape, Reach, Verdict};
use object::{Function, Object};
use place::Places;
use std::fmt;

#[cfg(test)]
mod tests;

/// What became of the proof.
#[derive(Debug)]
pub enum Outcome {
    /// The object's functions are those of the target.
    Proven {
        /// How many functions were compared.
        functions: usize,
        /// How many relocations lead to what they name.
        checked: usize,
        /// How many could not be checked, as the target has no name for what they lead to.
        unchecked: usize,
        /// Where everything is.
        placement: Placement,
    },
    /// Only a list of symbols is known of the target: nothing can be proven.
    Unproven {
        /// Where everything is, as far as names tell.
        placement: Placement,
    },
    /// They are not.
    Different {
        /// What differs.
        mismatch: Mismatch,
        /// Where everything is, as far as names tell.
        placement: Placement,
    },
    /// The target has nothing of the object: its configuration leaves the file out.
    NotThere,
}

/// How an object differs from a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The first function that differs, in the order of the object.
    pub function: String,
    /// How it does.
    pub difference: Difference,
    /// How many functions differ.
    pub differing: usize,
    /// Of how many.
    pub functions: usize,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch {
            function,
            difference: Difference { offset, what },
            differing,
            functions,
        } = self;
        write!(
            f,
            "{differing} of {functions} functions differ, the first is {function}: "
        )?;
        match what {
            What::Bytes { expected, found } => {
                write!(f, "at {offset:#x} it has")?;
                hex(f, expected)?;
                write!(f, ", there are")?;
                hex(f, found)?;
            }
            What::Destination { expected, found } => {
                write!(f, "at {offset:#x} it uses {expected}, there it is {found}")?;
            }
            What::Relocation => write!(f, "at {offset:#x} only one of the two uses a symbol")?,
            What::Missing => write!(f, "there is none of that name")?,
            What::Order => write!(f, "it is not where the others of its file say")?,
        }
        write!(
            f,
            " (usual causes: another version of the compiler, another configuration, or another \
             version of the source)"
        )
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
}

/// Proves that `as_built`, an object that was compiled as the kernel's, but not changed by
/// objtool, is a part of the target.
///
/// # Errors
///
/// The object is none that a compiler makes for a kernel.
pub fn prove(as_built: &[u8], target: &Target<'_>) -> klp_diff::Result<Outcome> {
    let object = Object::read(as_built)?;
    let is_other = target
        .machine()
        .is_some_and(|machine| machine != object.file.machine);
    if is_other {
        return Err(klp_diff::Error::Machines);
    }
    let places = place::find(&object, target);
    let placement = Placement::new(&object, target, &places.bases);
    if !is_any_named(&object, target) {
        return Ok(Outcome::NotThere);
    }
    if !target.has_bytes() {
        return Ok(Outcome::Unproven { placement });
    }
    let proof = Proof {
        object: &object,
        target,
        places: &places,
    };
    Ok(proof.outcome(placement))
}

/// Whether the target has a function of the object, by name; or, of an object that has none, a
/// variable.
fn is_any_named(object: &Object, target: &Target<'_>) -> bool {
    let is_named = |name: &String| !target.named(name).is_empty();
    match object.functions[..] {
        [] => object.names().any(|(symbol, _)| is_named(&symbol.name)),
        _ => object
            .functions
            .iter()
            .any(|function| is_named(&function.name)),
    }
}

struct Proof<'a> {
    object: &'a Object,
    target: &'a Target<'a>,
    places: &'a Places,
}

/// What is known of a function.
enum Found {
    Same,
    Absent,
    Different(Difference),
}

impl Proof<'_> {
    fn outcome(&self, mut placement: Placement) -> Outcome {
        let (mut checked, mut unchecked, mut same) = (0, 0, 0);
        let mut references = Vec::new();
        let mut differing = Vec::new();
        for function in &self.object.functions {
            let (found, (right, unknown)) = self.function(function, &mut references);
            match found {
                Found::Same => same += 1,
                Found::Absent => {}
                Found::Different(difference) => differing.push((function, difference)),
            }
            checked += right;
            unchecked += unknown;
        }
        let mut differing = differing.into_iter();
        let Some(first) = differing.next() else {
            if same == 0 && !self.object.functions.is_empty() {
                return Outcome::NotThere;
            }
            placement.add_others(self.object, self.target, &references);
            placement.is_proven = true;
            return Outcome::Proven {
                functions: same,
                checked,
                unchecked,
                placement,
            };
        };
        if same == 0 && self.is_not_there() {
            return Outcome::NotThere;
        }
        let mismatch = self.mismatch(first, differing.as_slice());
        Outcome::Different {
            mismatch,
            placement,
        }
    }

    /// Compares a function where its section is.
    fn function(
        &self,
        function: &Function,
        references: &mut Vec<compare::Reference>,
    ) -> (Found, (usize, usize)) {
        let nothing = |found| (found, (0, 0));
        let Some(base) = self.places.bases.get(&function.section) else {
            let is_named = !self.target.named(&function.name).is_empty();
            let is_unused = !is_named && self.object.has_own_section(function);
            return nothing(if self.places.anywhere.contains(&function.section) {
                Found::Same
            } else if is_unused || self.may_be_absent(function) {
                Found::Absent
            } else {
                Found::Different(Difference::missing())
            });
        };
        let at = base.plus(function.start);
        let shape = shape(self.object, self.target, function, at, Reach::Kept);
        if let Some(difference) = shape.difference {
            return nothing(match self.may_be_absent(function) {
                true => Found::Absent,
                false => Found::Different(difference),
            });
        }
        let (mut right, mut unknown) = (0, 0);
        for reference in &shape.references {
            match judge(self.object, self.target, self.places, reference) {
                Verdict::Right => right += 1,
                Verdict::Unknown => unknown += 1,
                Verdict::Wrong(what) => {
                    let offset = reference.offset;
                    return nothing(Found::Different(Difference { offset, what }));
                }
            }
        }
        references.extend(shape.references);
        (Found::Same, (right, unknown))
    }

    fn may_be_absent(&self, function: &Function) -> bool {
        self.object.may_be_absent(function, self.target.is_linked())
    }

    /// Whether the target is without this file, as most names of its functions are nowhere.
    fn is_not_there(&self) -> bool {
        let all = &self.object.functions;
        let named = all
            .iter()
            .filter(|function| !self.target.named(&function.name).is_empty());
        named.count() * 2 < all.len().max(1)
    }

    /// Says what differs. Where a function has another size, those behind it are elsewhere, and
    /// other sections lead to other places of this one, but they are the same.
    fn mismatch(
        &self,
        first: (&Function, Difference),
        rest: &[(&Function, Difference)],
    ) -> Mismatch {
        let all = std::iter::once(&first).chain(rest);
        let alone: Vec<_> = all
            .filter_map(|(function, difference)| {
                Some((*function, self.difference(function, difference)?))
            })
            .collect();
        let leads_elsewhere =
            |difference: &Difference| matches!(difference.what, What::Destination { .. });
        let is_only_that = alone.iter().all(|(_, one)| leads_elsewhere(one));
        let mut counted = alone
            .iter()
            .filter(|(_, one)| is_only_that || !leads_elsewhere(one));
        let count = counted.clone().count();
        let (function, difference) = match counted.next() {
            Some((function, difference)) => (*function, difference.clone()),
            None => {
                let what = What::Order;
                (first.0, Difference { offset: 0, what })
            }
        };
        Mismatch {
            function: function.name.clone(),
            difference,
            differing: count.max(1),
            functions: self.object.functions.len(),
        }
    }

    /// How a function differs from all of its name, wherever they are; `None` where it does not.
    fn difference(&self, function: &Function, known: &Difference) -> Option<Difference> {
        if let What::Destination { .. } = known.what {
            return Some(known.clone());
        }
        let mut first = None;
        for at in self.target.named(&function.name) {
            let shape = shape(self.object, self.target, function, at, Reach::Left);
            first.get_or_insert(shape.difference?);
        }
        Some(first.unwrap_or_else(Difference::missing))
    }
}
