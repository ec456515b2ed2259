// SPDX-License-Identifier: GPL-2.0

//! Layouts of structures, numbers of enumerations and interfaces of exported functions, which a fix
//! must not change.
//!
//! The kernel has instances of its structures, and modules that were compiled for its functions.
//! Code alone does not tell that a fix makes a structure larger; debug information does, which is
//! read if both objects have it. The compiler makes the same code with `-g` as without.

mod debug_info;
mod enumerations;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::{LeftOut, Reason, Refusal};
use crate::view::read::File;
use crate::view::View;
use enumerations::Enumeration;
use std::collections::{BTreeMap, BTreeSet};

/// What an object knows of types.
#[derive(Debug, Default)]
pub struct Types {
    /// Of each complete structure or union: usually one layout.
    layouts: BTreeMap<String, BTreeSet<Layout>>,
    /// All enumerations, also those of one function.
    enumerations: BTreeSet<Enumeration>,
    /// Of each function that others can call: what it takes and returns, in words of C.
    interfaces: BTreeMap<String, String>,
}

/// Where the members of a structure or union are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Layout {
    /// In bytes.
    size: u64,
    members: Vec<Member>,
}

/// A member. Those of a structure without a name are members of the one that it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    name: String,
    /// In bits from the start.
    offset: u64,
    /// In bits, of a bit field.
    width: Option<u64>,
    /// Its type, in words of C.
    kind: String,
}

impl Types {
    /// What the debug information of an object tells; `None` if it has none.
    ///
    /// # Errors
    ///
    /// It is damaged.
    pub fn of(view: &View) -> Result<Option<Self>> {
        debug_info::read(&view.file, view.side)
    }
}

/// Whether an object has debug information.
pub fn has_debug_info(file: &File) -> bool {
    debug_info::is_there(file)
}

/// Refuses what `patched` has changed. What is let through although something of it stays as it was,
/// is told beside that.
pub fn check(
    original: &Types,
    patched: &Types,
    kernel: &dyn Kernel,
) -> (Vec<Refusal>, BTreeSet<LeftOut>) {
    let (mut refusals, left_out) =
        enumerations::check(&original.enumerations, &patched.enumerations);
    for (name, after) in &patched.layouts {
        let Some(before) = original.layouts.get(name) else {
            continue;
        };
        let changed = after.iter().find(|layout| !before.contains(layout));
        if let (Some(before), Some(after)) = (before.first(), changed) {
            let because = before.difference(after);
            refusals.push(Refusal::new(name, Reason::ChangedLayout { because }));
        }
    }
    for (name, after) in &patched.interfaces {
        let Some(before) = original.interfaces.get(name) else {
            continue;
        };
        if before != after && kernel.is_exported(name) {
            let (before, after) = (before.clone(), after.clone());
            refusals.push(Refusal::new(
                name,
                Reason::ChangedInterface { before, after },
            ));
        }
    }
    (refusals, left_out)
}

impl Layout {
    /// The first difference, for people.
    fn difference(&self, after: &Layout) -> String {
        let named = |layout: &Layout, name: &str| {
            let mut members = layout.members.iter();
            members.find(|member| member.name == name).cloned()
        };
        for was in &self.members {
            let name = &was.name;
            let Some(is) = named(after, name) else {
                return format!("its member {name} is gone");
            };
            if is.kind != was.kind {
                return format!("its member {name} is {} in place of {}", is.kind, was.kind);
            }
        }
        for is in &after.members {
            if named(self, &is.name).is_none() {
                return format!("its member {} is new", is.name);
            }
        }
        for was in &self.members {
            let is = named(after, &was.name).unwrap_or_else(|| was.clone());
            if (is.offset, is.width) != (was.offset, was.width) {
                let place = |member: &Member| match member.width {
                    Some(width) => format!("bit {} with {width} bits", member.offset),
                    None => format!("byte {}", member.offset / 8),
                };
                let (name, is, was) = (&was.name, place(&is), place(was));
                return format!("its member {name} is at {is} in place of {was}");
            }
        }
        format!("it has {} bytes in place of {}", after.size, self.size)
    }
}
