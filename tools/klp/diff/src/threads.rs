// SPDX-License-Identifier: GPL-2.0

//! The functions of kernel threads, which a task may never leave.
//!
//! A thread runs the function that it was created with until it ends, and many never do. A patch of
//! such a function is not complete before, whoever waits for it.

use crate::decide::{Context, Decisions};
use crate::model::LeftOut;
use crate::view::{PieceId, To, View};

/// What creates a thread; `kthread_run()` and the like are macros for these.
const CREATES: [&str; 2] = ["kthread_create_on_cpu", "kthread_create_on_node"];

/// Tells of functions that are replaced and that threads were created with, as far as this object
/// shows it: some code of it creates a thread and has the function's address.
pub fn tell(context: &Context<'_>, decisions: &Decisions) -> Vec<LeftOut> {
    let original = context.original;
    let creators: Vec<_> = original
        .ids()
        .filter(|&id| original.piece(id).is_code() && creates(original, id))
        .collect();
    let changed = decisions.changed().filter(|&id| {
        let before = context.correlation.original(id);
        before.is_some_and(|before| {
            let mut creators = creators.iter();
            creators.any(|&creator| has_address(original, creator, before))
        })
    });
    let told = changed.map(|id| LeftOut {
        what: context.patched.display(id),
        effect: "a thread of the kernel may run in it all the time: then the transition does not \
                 end, and only other tasks get what is new"
            .to_owned(),
    });
    told.collect()
}

fn creates(view: &View, id: PieceId) -> bool {
    let links = view.piece(id).links.iter();
    let mut outside = links.filter_map(|link| match link.to {
        To::Outside(symbol) => Some(view.symbol(symbol).name.as_str()),
        _ => None,
    });
    outside.any(|name| CREATES.contains(&name))
}

/// Whether code has the address of a function, and not only a call of it.
fn has_address(view: &View, code: PieceId, function: PieceId) -> bool {
    let mut links = view.piece(code).links.iter();
    links.any(|link| link.to == To::Piece(function) && !view.is_branch(code, link))
}
