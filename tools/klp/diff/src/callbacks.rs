// SPDX-License-Identifier: GPL-2.0

//! The callbacks of a patch, as a fix declares them with `<linux/livepatch_helpers.h>`.
//!
//! Each macro there defines a pointer to the function in a section of its own. The name of the
//! pointer tells which callback it is, and of which object: `__klp_pre_patch_callback_vmlinux`,
//! `__klp_post_unpatch_callback_ext4`. The pointers themselves do not go into the patch: the
//! description of the patch has the addresses.

use crate::decide::{Context, Decisions, Fate};
use crate::model::{CallbackKind, Reason};
use crate::view::{sections, Kind, Piece, PieceId, To};

/// The function that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handler {
    /// One of this object.
    Here(PieceId),
    /// One of another unit of the patch, by its symbol.
    Shared(String),
}

/// A callback that the patched object declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// When it is called.
    pub kind: CallbackKind,
    /// What is called.
    pub handler: Handler,
}

/// Finds the callbacks that the patched object declares, when it is decided about its functions.
/// What cannot be one is refused.
pub fn find(
    context: &Context<'_>,
    decisions: &Decisions,
) -> (Vec<Declared>, Vec<(String, Reason)>) {
    let view = context.patched;
    let mut declared = Vec::new();
    let mut refused = Vec::new();
    for id in view.ids() {
        if !sections::is_callbacks(&view.section_of(id).name) {
            continue;
        }
        let name = view.display(id);
        let found = kind(&name, &context.target.object).and_then(|kind| {
            let handler = handler(context, decisions, view.piece(id))?;
            Ok(Declared { kind, handler })
        });
        match found {
            Ok(callback) => declared.push(callback),
            Err(reason) => refused.push((name, reason)),
        }
    }
    declared.sort_by_key(|callback| callback.kind);
    (declared, refused)
}

/// Which callback of `object` a pointer is, by its name.
fn kind(pointer: &str, object: &str) -> Result<CallbackKind, Reason> {
    let found = CallbackKind::ALL.into_iter().find_map(|kind| {
        let name = format!("__klp_{}_callback_", kind.field());
        Some((kind, pointer.strip_prefix(name.as_str())?))
    });
    let Some((kind, of)) = found else {
        return Err(Reason::UnknownCallback);
    };
    // The name of a module is __KBUILD_MODNAME, which some kernels let begin with "kmod_".
    if of == object || of.strip_prefix("kmod_") == Some(object) {
        return Ok(kind);
    }
    Err(Reason::CallbackOfAnother {
        kind,
        of: of.to_owned(),
        object: object.to_owned(),
    })
}

/// What a pointer leads to. A patch cannot count on what a target module has: its callbacks are its
/// own.
fn handler(
    context: &Context<'_>,
    decisions: &Decisions,
    pointer: &Piece,
) -> Result<Handler, Reason> {
    let view = context.patched;
    let [link] = pointer.links[..] else {
        return Err(Reason::UnknownCallback);
    };
    match link.to {
        To::Piece(to)
            if view.piece(to).kind == Kind::Function
                && link.addend == view.piece(to).entry as i64 =>
        {
            match decisions.fate(to) {
                Fate::New | Fate::Changed { .. } => Ok(Handler::Here(to)),
                _ => Err(Reason::CallbackOfKernel {
                    function: view.display(to),
                }),
            }
        }
        To::Outside(symbol) if link.addend == 0 => {
            let name = view.symbol(symbol).name.clone();
            match context.kernel.is_shared(&name) {
                true => Ok(Handler::Shared(name)),
                false => Err(Reason::CallbackOfKernel { function: name }),
            }
        }
        _ => Err(Reason::UnknownCallback),
    }
}
