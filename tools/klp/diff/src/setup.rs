// SPDX-License-Identifier: GPL-2.0

//! New variables that would not be what the new functions take them for.
//!
//! The kernel has run its init code, and that of a module, without the fix. A new variable starts
//! with its initial value: whatever else init code would have made of it is missing. And what is new
//! by its name only would lose what the kernel keeps in it.

use crate::callbacks::Handler;
use crate::decide::{Context, Decisions, Fate};
use crate::model::{Reason, Refusal};
use crate::take::Taken;
use crate::view::{sections, Kind, PieceId, To, View};
use std::collections::BTreeSet;

/// Refuses what is taken of such variables.
pub fn check(context: &Context<'_>, decisions: &Decisions, taken: &Taken) -> Vec<Refusal> {
    let view = context.patched;
    let by_callbacks = decisions
        .callbacks
        .iter()
        .filter_map(|callback| match callback.handler {
            Handler::Here(id) => Some(id),
            Handler::Shared(_) => None,
        });
    let by_callbacks = used(view, decisions, by_callbacks);
    let gone: Vec<_> = gone(context).collect();
    let mut refusals = Vec::new();
    for &id in taken.pieces.keys() {
        let is_new = *decisions.fate(id) == Fate::New;
        if !is_new || !is_variable(view, id) || by_callbacks.contains(&id) {
            continue;
        }
        let init = view.ids().find(|&init| {
            let is_left_out = matches!(decisions.fate(init), Fate::LeftOut { .. });
            is_left_out
                && is_empty(view, id)
                && sections::is_init(&view.section_of(init).name)
                && used(view, decisions, [init]).contains(&id)
        });
        if let Some(init) = init {
            let function = view.display(init);
            refusals.push(Refusal::new(
                view.display(id),
                Reason::SetUpByInit { function },
            ));
        }
        let was = gone
            .iter()
            .find(|&&gone| is_alike(context.original, gone, view, id));
        if let Some(&gone) = was {
            let gone = context.original.display(gone);
            refusals.push(Refusal::new(
                view.display(id),
                Reason::MaybeRenamed { gone },
            ));
        }
    }
    refusals
}

/// What these functions use, and new functions that they call.
fn used(
    view: &View,
    decisions: &Decisions,
    functions: impl IntoIterator<Item = PieceId>,
) -> BTreeSet<PieceId> {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<_> = functions.into_iter().collect();
    while let Some(id) = waiting.pop() {
        for link in &view.piece(id).links {
            let To::Piece(to) = link.to else {
                continue;
            };
            // Parts of the function, and what is not known to the kernel.
            let is_own = !view.piece(to).is_unique || *decisions.fate(to) == Fate::New;
            if seen.insert(to) && is_own {
                waiting.push(to);
            }
        }
    }
    seen
}

/// Whether a variable starts with zeroes. What has an initial value is set up by that: a lock, a list.
fn is_empty(view: &View, id: PieceId) -> bool {
    view.piece(id).links.is_empty() && view.bytes_of(id).iter().all(|&byte| byte == 0)
}

/// The variables of the original that the patched object does not have.
fn gone<'a>(context: &'a Context<'_>) -> impl Iterator<Item = PieceId> + 'a {
    let view = context.original;
    view.ids()
        .filter(|&id| is_variable(view, id) && context.correlation.patched(id).is_none())
}

/// Whether a piece is a variable that keeps something while the kernel runs.
fn is_variable(view: &View, id: PieceId) -> bool {
    let (piece, section) = (view.piece(id), view.section_of(id));
    piece.kind == Kind::Data
        && piece.is_unique
        && section.is_writable()
        && !sections::is_constant(section)
        && !sections::is_init_or_exit(&section.name)
        && !sections::is_registered(&section.name)
        && !sections::is_callbacks(&section.name)
}

fn is_alike(original: &View, gone: PieceId, patched: &View, new: PieceId) -> bool {
    let is_per_cpu = |view: &View, id: PieceId| sections::is_per_cpu(&view.section_of(id).name);
    original.piece(gone).size() == patched.piece(new).size()
        && is_per_cpu(original, gone) == is_per_cpu(patched, new)
}
