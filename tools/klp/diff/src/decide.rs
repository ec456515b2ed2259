// SPDX-License-Identifier: GPL-2.0

//! What becomes of each function and variable of the patched object.

use crate::callbacks::{self, Declared};
use crate::compare::Comparison;
use crate::correlate::Correlation;
use crate::kernel::{Kernel, Location, NotLocated, Target, Wanted};
use crate::model::{Difference, LeftOut, Reason, Refusal};
use crate::view::{names, sections, Kind, PieceId, To, View};
use object::elf;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a unique piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is as it was: the kernel's is used.
    Unchanged,
    /// The kernel does not have it.
    New,
    /// The function is replaced.
    Changed {
        /// How it differs.
        because: Difference,
        /// Its name in the kernel.
        old_name: String,
        /// Where it is in the kernel.
        location: Location,
    },
    /// The function differs and cannot be replaced, but all who call it can.
    WithCallers {
        /// How it differs.
        because: Difference,
    },
    /// It differs, but is not used any more.
    LeftOut {
        /// How it differs.
        because: Difference,
    },
    /// The function differs, but is weak, and the kernel has another one.
    Overridden {
        /// How it differs.
        because: Difference,
    },
    /// The function differs, and cannot be replaced.
    Refused {
        /// How it differs.
        because: Difference,
    },
    /// A constant that differs, which only functions of this file use, and these count as changed.
    Replaced,
}

/// What is known when it has to be decided.
pub struct Context<'a> {
    /// The original object.
    pub original: &'a View,
    /// The patched object.
    pub patched: &'a View,
    /// What belongs together.
    pub correlation: &'a Correlation,
    /// What is patched.
    pub target: &'a Target,
    /// The kernel.
    pub kernel: &'a dyn Kernel,
    /// What the original object defines, by name.
    pub beside: Vec<String>,
}

impl<'a> Context<'a> {
    /// Looks a piece of the original object up in the kernel.
    pub fn locate(&self, original: PieceId) -> Result<(String, Location), NotLocated> {
        let Some(symbol) = self.original.symbol_of(original) else {
            return Err(NotLocated::Missing);
        };
        let name = self.kernel.name_there(&symbol.name);
        let name = name.ok_or(NotLocated::Unclear)?;
        let wanted = Wanted {
            name,
            is_function: self.original.piece(original).is_code(),
            is_of_file: true,
            is_local: symbol.is_local(),
            source: self.original.source(),
            beside: &self.beside,
        };
        Ok((name.to_owned(), self.kernel.locate(&wanted)?))
    }
}

/// The reason for which a symbol is not found.
pub fn not_located(symbol: &str, why: NotLocated) -> Reason {
    let symbol = symbol.to_owned();
    match why {
        NotLocated::Missing => Reason::NotFound { symbol },
        NotLocated::Ambiguous { candidates } => Reason::Ambiguous { symbol, candidates },
        NotLocated::Unclear => Reason::UnclearNumber { symbol },
    }
}

/// What was decided.
#[derive(Debug, Default)]
pub struct Decisions {
    fates: BTreeMap<PieceId, Fate>,
    /// The callbacks that the patch has.
    pub callbacks: Vec<Declared>,
    /// Why no livepatch can be made.
    pub refusals: Vec<Refusal>,
    /// What differs without effect.
    pub left_out: Vec<LeftOut>,
}

impl Decisions {
    /// What becomes of a unique piece of the patched object.
    pub fn fate(&self, id: PieceId) -> &Fate {
        self.fates.get(&id).unwrap_or(&Fate::Unchanged)
    }

    /// The functions that are replaced.
    pub fn changed(&self) -> impl Iterator<Item = PieceId> + '_ {
        let fates = self.fates.iter();
        fates.filter_map(|(&id, fate)| matches!(fate, Fate::Changed { .. }).then_some(id))
    }

    fn refuse(&mut self, subject: String, reason: Reason) {
        self.refusals.push(Refusal::new(subject, reason));
    }
}

/// Decides about all unique pieces of the patched object.
pub fn decide(context: &Context<'_>) -> Decisions {
    let mut decisions = Decisions::default();
    let mut comparison = Comparison::new(context.original, context.patched, context.correlation);
    data(context, &mut comparison, &mut decisions);
    registered(context, &mut comparison, &mut decisions);
    code(context, &mut comparison, &mut decisions);
    let (callbacks, refused) = callbacks::find(context, &decisions);
    decisions.callbacks = callbacks;
    for (pointer, reason) in refused {
        decisions.refuse(pointer, reason);
    }
    leave_out(context, &mut decisions);
    decisions
}

/// What differs in code and data that are not used any more, is left out of a patch that changes
/// something else: an inlined function is there, too. If it is all that the fix changes, the fix
/// would have no effect.
fn leave_out(context: &Context<'_>, decisions: &mut Decisions) {
    let is_empty = decisions.changed().next().is_none() && decisions.callbacks.is_empty();
    let fates = decisions.fates.iter();
    let left_out: Vec<_> = fates
        .filter_map(|(&id, fate)| match fate {
            Fate::LeftOut { .. } => {
                let section = context.patched.section_of(id).name.clone();
                let effect = format!(
                    "it is in {section}, which is not used any more; of a module that is loaded \
                     later, the original is used"
                );
                Some((id, Reason::InitOnly { section }, effect))
            }
            Fate::Overridden { .. } => {
                Some((id, Reason::Overridden, Reason::Overridden.to_string()))
            }
            _ => None,
        })
        .collect();
    for (id, reason, effect) in left_out {
        let what = context.patched.display(id);
        if is_empty {
            decisions.refuse(what, reason);
        } else {
            decisions.left_out.push(LeftOut { what, effect });
        }
    }
}

fn data(context: &Context<'_>, comparison: &mut Comparison<'_>, decisions: &mut Decisions) {
    let patched = context.patched;
    let ids: Vec<_> = patched
        .ids()
        .filter(|&id| {
            let piece = patched.piece(id);
            let name = &patched.section_of(id).name;
            let is_special = sections::is_registered(name) || sections::is_callbacks(name);
            piece.kind == Kind::Data && piece.is_unique && !is_special
        })
        .collect();
    // A constant that is replaced makes those different that point to it.
    let mut differing = BTreeMap::new();
    loop {
        let mut is_done = true;
        for &id in &ids {
            let Some(original) = context.correlation.original(id) else {
                decisions.fates.insert(id, Fate::New);
                continue;
            };
            if differing.contains_key(&id) || comparison.is_replaced(id) {
                continue;
            }
            let Some(because) = comparison.difference(original, id) else {
                continue;
            };
            is_done = false;
            if is_replaceable(context, id) && is_replaceable_original(context, original) {
                comparison.replace(id);
                decisions.fates.insert(id, Fate::Replaced);
            } else {
                differing.insert(id, because);
            }
        }
        if is_done {
            break;
        }
    }
    for (id, because) in differing {
        if sections::is_init_or_exit(&patched.section_of(id).name) {
            decisions.fates.insert(id, Fate::LeftOut { because });
        } else {
            decisions.refuse(patched.display(id), Reason::ChangedData { because });
        }
    }
}

/// Whether the patch can use a constant of its own in place of the kernel's: functions of this
/// file, which are then replaced, are all that use it.
pub fn is_replaceable(context: &Context<'_>, id: PieceId) -> bool {
    let view = context.patched;
    is_private_constant(view, id)
        // Somebody may keep a pointer to what has pointers to functions in it.
        && !view.leads_to_functions(id)
        && view.ids().all(|user| {
            let is_user = view.piece(user).links.iter().any(|link| link.to == To::Piece(id));
            !is_user || view.piece(user).is_code()
        })
}

/// The same for the original: what it was used for counts, too.
fn is_replaceable_original(context: &Context<'_>, id: PieceId) -> bool {
    is_private_constant(context.original, id)
}

fn is_private_constant(view: &View, id: PieceId) -> bool {
    let section = view.section_of(id);
    sections::is_constant(section)
        && !sections::is_init_or_exit(&section.name)
        && view.symbol_of(id).is_some_and(|symbol| symbol.is_local())
}

/// What has an effect by standing where it does, must all have been there. Names do not count: the
/// macros that make these number them.
fn registered(context: &Context<'_>, comparison: &mut Comparison<'_>, decisions: &mut Decisions) {
    let (original, patched) = (context.original, context.patched);
    let of_view = |view: &View| {
        let mut found: BTreeMap<String, Vec<PieceId>> = BTreeMap::new();
        for id in view.ids() {
            let section = view.section_of(id);
            if view.piece(id).kind == Kind::Data && sections::is_registered(&section.name) {
                found.entry(section.name.clone()).or_default().push(id);
            }
        }
        found
    };
    let mut before = of_view(original);
    for (section, after) in of_view(patched) {
        let mut before = before.remove(&section).unwrap_or_default();
        for id in after {
            let named = context.correlation.original(id);
            let candidates: Vec<_> = match named {
                Some(original) => vec![original],
                None => before.clone(),
            };
            let mut same = None;
            for candidate in candidates {
                if comparison.difference(candidate, id).is_none() {
                    same = Some(candidate);
                    break;
                }
            }
            match same {
                Some(same) => before.retain(|&other| other != same),
                None => {
                    decisions.fates.insert(id, Fate::New);
                    let section = section.clone();
                    decisions.refuse(patched.display(id), Reason::Registered { section });
                }
            }
        }
    }
}

fn code(context: &Context<'_>, comparison: &mut Comparison<'_>, decisions: &mut Decisions) {
    let patched = context.patched;
    let mut waiting: Vec<_> = patched
        .ids()
        .filter(|&id| patched.piece(id).is_code() && patched.piece(id).is_unique)
        .collect();
    // Callers of what cannot be replaced itself become different by that.
    loop {
        let before = decisions.fates.len();
        waiting.retain(|&id| {
            let fate = match context.correlation.original(id) {
                None => Fate::New,
                Some(before) => match comparison.difference(before, id) {
                    None => return true,
                    Some(because) => match replace(context, before) {
                        Ok((old_name, location)) => Fate::Changed {
                            because,
                            old_name,
                            location,
                        },
                        Err(Reason::NoCallSite) if has_only_callers(context, id) => {
                            comparison.replace(id);
                            Fate::WithCallers { because }
                        }
                        Err(Reason::InitOnly { .. }) => Fate::LeftOut { because },
                        Err(Reason::Overridden) => Fate::Overridden { because },
                        Err(reason) => {
                            let reason = explain(context, before, reason);
                            decisions.refuse(patched.display(id), reason);
                            Fate::Refused { because }
                        }
                    },
                },
            };
            decisions.fates.insert(id, fate);
            false
        });
        if decisions.fates.len() == before {
            break;
        }
    }
}

/// Whether a function of the patched object is only called, and only from this file.
fn has_only_callers(context: &Context<'_>, id: PieceId) -> bool {
    let view = context.patched;
    let is_local = view
        .symbol_of(id)
        .is_some_and(|symbol| symbol.is_local() && symbol.kind == elf::STT_FUNC);
    if !is_local || sections::is_guarded(&view.section_of(id).name) {
        return false;
    }
    let mut is_called = false;
    for user in view.ids() {
        let piece = view.piece(user);
        // Tables about it, and its own jumps.
        if piece.kind == Kind::Entry || user == id {
            continue;
        }
        for link in piece.links.iter().filter(|link| link.to == To::Piece(id)) {
            let reached = link.addend.wrapping_add(view.bias(user, link));
            let is_entry = reached == view.piece(id).entry as i64;
            let is_copied = !piece.is_unique;
            if !view.is_branch(user, link) && (is_entry || !is_copied) {
                return false;
            }
            is_called |= is_entry;
        }
    }
    is_called
}

/// Whether ftrace can reach a function, as far as the object tells: in many kernels the compiler
/// notes where the calls are, in others a tool does it later.
fn has_call_site(view: &View, id: PieceId) -> Option<bool> {
    const NOTED: &str = "__mcount_loc";
    const CALLED: &str = "__fentry__";
    let piece = view.piece(id);
    if view.has_section(NOTED) {
        let mut entries = piece.entries.iter();
        return Some(entries.any(|&entry| view.section_of(entry).name == NOTED));
    }
    let mut symbols = view.file.symbols.iter();
    let is_known = symbols.any(|symbol| symbol.name == CALLED);
    is_known.then(|| {
        piece.links.iter().any(|link| match link.to {
            To::Outside(symbol) => view.symbol(symbol).name == CALLED,
            _ => false,
        })
    })
}

/// Whether a function of the original object can be replaced, as whom.
fn replace(context: &Context<'_>, original: PieceId) -> Result<(String, Location), Reason> {
    let section = context.original.section_of(original);
    if sections::is_init_or_exit(&section.name) {
        let section = section.name.clone();
        return Err(Reason::InitOnly { section });
    }
    let symbol = context.original.symbol_of(original);
    let name = symbol.map(|symbol| symbol.name.clone()).unwrap_or_default();
    let has_call_site = has_call_site(context.original, original);
    if symbol.is_some_and(|symbol| symbol.kind != elf::STT_FUNC) {
        return Err(Reason::NoCallSite);
    }
    let (name, location) = match context.locate(original) {
        Ok(found) => found,
        Err(_) if has_call_site == Some(false) => return Err(Reason::NoCallSite),
        Err(why) => return Err(not_located(&name, why)),
    };
    if symbol.is_some_and(|symbol| symbol.binding == elf::STB_WEAK) {
        match context.kernel.is_weak(&name, &location) {
            Some(true) => {}
            Some(false) => return Err(Reason::Overridden),
            None => return Err(Reason::MaybeOverridden),
        }
    }
    // The kernel knows better: not all tools note all functions in objects.
    let known = context.kernel.has_call_site(&name, &location);
    match known.or(has_call_site) {
        Some(true) => Ok((name, location)),
        _ => Err(Reason::NoCallSite),
    }
}

/// The reason why ftrace cannot reach a function, where one is known.
fn explain(context: &Context<'_>, original: PieceId, reason: Reason) -> Reason {
    let is_reached = !matches!(reason, Reason::NoCallSite | Reason::NotFound { .. });
    let section = &context.original.section_of(original).name;
    match sections::other_program(&context.target.unit) {
        _ if is_reached => reason,
        Some(program) => Reason::OtherProgram {
            program: program.to_owned(),
        },
        None if sections::is_guarded(section) => Reason::Guarded {
            section: section.clone(),
        },
        None => reason,
    }
}

/// What a view defines, by name, in its order.
pub fn defined(view: &View) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let symbols = view.file.symbols.iter().filter(|symbol| {
        let has_type = matches!(symbol.kind, elf::STT_FUNC | elf::STT_OBJECT);
        has_type && symbol.is_name() && !names::is_cold_part(&symbol.name)
    });
    symbols
        .filter(|symbol| matches!(symbol.place, crate::view::read::Place::Section(_)))
        .filter(|symbol| seen.insert(symbol.name.as_str()))
        .map(|symbol| symbol.name.clone())
        .collect()
}
