// SPDX-License-Identifier: GPL-2.0

//! Finds what a fix changes in an object file of the kernel, and makes the new part of a livepatch
//! of it.
//!
//! What goes in: the object of one source file, compiled before and after the fix with the
//! kernel's own command and `-ffunction-sections -fdata-sections`, and what is known of the kernel
//! ([`Kernel`]). What comes out ([`Diff`]): a model that tells what is patched and why, and a
//! relocatable object with the new functions and what they need. kbuild links that with the source
//! of [`describe`], and `klp convert` makes a livepatch of the module.
//!
//! With debug information in both objects, layouts of structures, numbers of enumerations and
//! interfaces of exported functions are compared as well ([`Patch::are_types_known`]).
//!
//! There is no process here and no file system: objects are bytes. They are for x86_64 or s390x,
//! whatever the host is. On x86_64, objtool has to see the code once: either the objects that are
//! compared, as kbuild leaves them, or else the emitted one.
//!
//! The steps are modules: [`view`] cuts an object into pieces, [`correlate`] and [`compare`] say
//! which piece is which and whether it is the same, [`decide`] says what becomes of it, [`take`]
//! what goes along, and [`emit`] writes it. Of what is not understood, nothing is taken: it is
//! refused with a reason.

pub mod callbacks;
pub mod compare;
pub mod correlate;
pub mod decide;
mod describe;
pub mod emit;
mod error;
mod kernel;
pub mod model;
mod numbered;
mod refusal;
mod setup;
pub mod take;
mod threads;
mod types;
pub mod view;

pub use describe::{describe, Options};
pub use error::{Error, Result, Side};
pub use kernel::{Kernel, Location, NotLocated, Target, Wanted};
pub use numbered::Numbered;

use callbacks::Handler;
use correlate::Correlation;
use decide::{Context, Decisions, Fate};
use model::{Callback, Data, Decision, Entries, Function, Patch, Reference};
use std::collections::{BTreeMap, BTreeSet};
use take::{Destination, Taken};
use types::Types;
pub use view::Moved;
use view::{Kind, PieceId, View};

/// What a fix makes of an object.
#[derive(Debug)]
pub struct Diff {
    /// What is patched, and why.
    pub patch: Patch,
    /// The object with the new functions; none if there is nothing to patch, or something is
    /// refused.
    pub object: Option<Vec<u8>>,
}

/// Compares two objects of one source file.
///
/// # Errors
///
/// If one of them is not what a compiler makes for a kernel. What a livepatch cannot do is in
/// [`Patch::refusals`].
pub fn diff(original: &[u8], patched: &[u8], target: &Target, kernel: &dyn Kernel) -> Result<Diff> {
    let original = View::new(original, Side::Original)?;
    let patched = View::new(patched, Side::Patched)?;
    compare_views(&original, &patched, target, kernel)
}

/// The same, where the source of the patched object was compiled in another directory.
///
/// # Errors
///
/// As [`diff`].
pub fn diff_moved(
    original: &[u8],
    patched: &[u8],
    moved: &Moved,
    target: &Target,
    kernel: &dyn Kernel,
) -> Result<Diff> {
    let original = View::new(original, Side::Original)?;
    let mut patched = View::new(patched, Side::Patched)?;
    patched.move_back(moved);
    compare_views(&original, &patched, target, kernel)
}

fn compare_views(
    original: &View,
    patched: &View,
    target: &Target,
    kernel: &dyn Kernel,
) -> Result<Diff> {
    if original.file.machine != patched.file.machine {
        return Err(Error::Machines);
    }
    let correlation = Correlation::new(original, patched);
    let context = Context {
        original,
        patched,
        correlation: &correlation,
        target,
        kernel,
        beside: decide::defined(original),
    };
    let decisions = decide::decide(&context);
    let mut taken = take::take(&context, &decisions);
    taken
        .refusals
        .extend(setup::check(&context, &decisions, &taken));
    let new_functions = emit::new_functions(patched, &decisions, target);
    let mut patch = patch(&context, &decisions, &taken, &new_functions);
    if !patch.is_empty() {
        if let (Some(before), Some(after)) = (Types::of(original)?, Types::of(patched)?) {
            let (refusals, left_out) = types::check(&before, &after, kernel);
            patch.refusals.extend(refusals);
            patch.left_out.extend(left_out);
        }
    }
    let object = match patch.is_empty() || !patch.refusals.is_empty() {
        true => None,
        false => Some(emit::emit(patched, &taken, &new_functions)?),
    };
    Ok(Diff { patch, object })
}

/// Puts together what was found.
fn patch(
    context: &Context<'_>,
    decisions: &Decisions,
    taken: &Taken,
    new_functions: &BTreeMap<PieceId, String>,
) -> Patch {
    let view = context.patched;
    let mut functions = Vec::new();
    for id in view.ids() {
        let piece = view.piece(id);
        if piece.kind != Kind::Function || !piece.is_unique {
            continue;
        }
        let decision = match decisions.fate(id) {
            Fate::Changed {
                because,
                old_name,
                location,
            } => Decision::Changed {
                because: because.clone(),
                old_name: old_name.clone(),
                position: location.position,
                symbol: new_functions.get(&id).cloned().unwrap_or_default(),
            },
            Fate::WithCallers { because } => Decision::WithCallers {
                because: because.clone(),
            },
            Fate::LeftOut { because } | Fate::Overridden { because } => Decision::LeftOut {
                because: because.clone(),
            },
            Fate::Refused { because } => Decision::Refused {
                because: because.clone(),
            },
            Fate::New => Decision::New {
                is_needed: taken.pieces.contains_key(&id),
            },
            Fate::Unchanged | Fate::Replaced => Decision::Unchanged,
        };
        functions.push(Function {
            name: view.display(id),
            decision,
        });
    }
    functions.sort_by(|one, other| one.name.cmp(&other.name));

    let callbacks = decisions.callbacks.iter().map(|declared| {
        let (function, symbol) = match &declared.handler {
            Handler::Here(id) => (view.display(*id), new_functions.get(id).cloned()),
            Handler::Shared(name) => (name.clone(), Some(name.clone())),
        };
        Callback {
            kind: declared.kind,
            function,
            symbol: symbol.unwrap_or_default(),
        }
    });

    let mut data: Vec<_> = taken
        .why
        .iter()
        .filter(|(id, _)| taken.pieces.contains_key(id))
        .map(|(&id, &why)| Data {
            name: view.display(id),
            why,
        })
        .collect();
    data.sort_by(|one, other| one.name.cmp(&other.name));

    let mut entries: BTreeMap<&str, usize> = BTreeMap::new();
    for &id in taken.pieces.keys() {
        if view.piece(id).kind == Kind::Entry {
            *entries.entry(&view.section_of(id).name).or_default() += 1;
        }
    }
    let references: BTreeSet<Reference> = taken
        .pieces
        .values()
        .flatten()
        .filter_map(|destination| match destination {
            Destination::Elsewhere(reference, _) => Some(reference.clone()),
            _ => None,
        })
        .collect();
    let refusals = decisions.refusals.iter().chain(&taken.refusals);
    Patch {
        object: context.target.object.clone(),
        source: context.patched.source().map(str::to_owned),
        are_types_known: [context.original, context.patched]
            .iter()
            .all(|view| types::has_debug_info(&view.file)),
        functions,
        callbacks: callbacks.collect(),
        data,
        entries: entries
            .into_iter()
            .map(|(table, count)| Entries {
                table: table.to_owned(),
                count,
            })
            .collect(),
        references: references.into_iter().collect(),
        left_out: decisions
            .left_out
            .iter()
            .chain(&taken.left_out)
            .cloned()
            .chain(threads::tell(context, decisions))
            .collect(),
        refusals: refusals.cloned().collect(),
    }
}
