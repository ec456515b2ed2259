// SPDX-License-Identifier: GPL-2.0

//! What becomes a part of the patch: the changed functions, and whatever these need that the
//! kernel does not have; and how all the rest is referred to.

use crate::callbacks::Handler;
use crate::decide::{is_replaceable, not_located, Context, Decisions, Fate};
use crate::kernel::{Location, Wanted};
use crate::model::{LeftOut, Reason, ReferBy, Reference, Refusal, WhyTaken};
use crate::view::read::{Place, SymbolId};
use crate::view::{code, names, sections, Kind, Link, PieceId, To};
use object::elf;
use std::collections::{BTreeMap, BTreeSet};

/// What a link of a piece that is taken leads to in the patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A piece that is taken as well.
    Taken(PieceId),
    /// A symbol of the kernel or of a module, and what is added to it.
    Elsewhere(Reference, i64),
    /// A number.
    Number(SymbolId),
    /// Nothing: another instruction takes the place of the one that had it.
    Gone,
}

/// What is taken.
#[derive(Debug, Default)]
pub struct Taken {
    /// The pieces of the patched object, with where each of their links leads to.
    pub pieces: BTreeMap<PieceId, Vec<Destination>>,
    /// Instructions of pieces that are replaced, by offset: what they become.
    pub overwritten: BTreeMap<PieceId, BTreeMap<u64, &'static [u8]>>,
    /// What other units of the patch use.
    pub shared: BTreeSet<PieceId>,
    /// Why data is taken.
    pub why: BTreeMap<PieceId, WhyTaken>,
    /// What is left out.
    pub left_out: BTreeSet<LeftOut>,
    /// Why no livepatch can be made.
    pub refusals: Vec<Refusal>,
}

/// Finds out what is taken.
pub fn take(context: &Context<'_>, decisions: &Decisions) -> Taken {
    let mut taker = Taker {
        context,
        decisions,
        taken: Taken::default(),
        waiting: Vec::new(),
        seen: BTreeSet::new(),
        references: BTreeMap::new(),
    };
    for id in decisions.changed() {
        taker.need(id);
    }
    for callback in &decisions.callbacks {
        if let Handler::Here(id) = callback.handler {
            taker.need(id);
        }
    }
    taker.share();
    taker.follow();
    taker.index_messages();
    taker.follow();
    taker.look_for_unknown_tables();
    taker.drop_overwritten_links();
    let mut taken = taker.taken;
    let mut seen = Vec::new();
    taken.refusals.retain(|refusal| {
        let is_new = !seen.contains(refusal);
        if is_new {
            seen.push(refusal.clone());
        }
        is_new
    });
    taken
}

struct Taker<'a> {
    context: &'a Context<'a>,
    decisions: &'a Decisions,
    taken: Taken,
    waiting: Vec<PieceId>,
    seen: BTreeSet<PieceId>,
    /// Unchanged pieces that were looked up.
    references: BTreeMap<PieceId, Result<Reference, Reason>>,
}

impl Taker<'_> {
    fn need(&mut self, id: PieceId) {
        if self.seen.insert(id) {
            self.waiting.push(id);
        }
    }

    /// Takes what is new and used by other units of the patch.
    fn share(&mut self) {
        let view = self.context.patched;
        for id in view.ids() {
            let is_new = view.piece(id).is_unique && *self.decisions.fate(id) == Fate::New;
            let is_shared = view.symbol_of(id).is_some_and(|symbol| {
                !symbol.is_local() && self.context.kernel.is_shared(&symbol.name)
            });
            if is_new && is_shared {
                self.taken.shared.insert(id);
                self.note(id, WhyTaken::New);
                self.need(id);
            }
        }
    }

    fn refuse(&mut self, subject: PieceId, reason: Reason) {
        let subject = self.subject(subject);
        self.taken.refusals.push(Refusal::new(subject, reason));
    }

    /// The function or variable that a piece belongs to, for people.
    fn subject(&self, id: PieceId) -> String {
        let view = self.context.patched;
        let code = view.piece(id).links.iter().find_map(|link| match link.to {
            To::Piece(to) if view.piece(to).is_code() => Some(to),
            _ => None,
        });
        match (view.piece(id).kind, code) {
            (Kind::Entry, Some(code)) => view.display(code),
            _ => view.display(id),
        }
    }

    fn follow(&mut self) {
        while let Some(id) = self.waiting.pop() {
            let view = self.context.patched;
            let section = view.section_of(id);
            if sections::is_init_or_exit(&section.name) {
                let section = section.name.clone();
                self.refuse(id, Reason::InitOnly { section });
            }
            let mut destinations = Vec::new();
            let mut refused = Vec::new();
            for link in &view.piece(id).links {
                match self.destination(id, link) {
                    Ok(destination) => destinations.push(destination),
                    Err(reason) => refused.push(reason),
                }
            }
            if let [Reason::TableForModule { section, symbol }] = &refused[..] {
                if section == ".static_call_sites" {
                    self.leave_static_call(id, symbol);
                    continue;
                }
            }
            if let [Reason::StaticKey { symbol }] = &refused[..] {
                if self.silence_tracepoint(id, symbol) {
                    continue;
                }
            }
            for reason in refused {
                self.refuse(id, reason);
            }
            self.taken.pieces.insert(id, destinations);
            for &entry in &view.piece(id).entries {
                self.need(entry);
            }
        }
    }

    fn destination(&mut self, from: PieceId, link: &Link) -> Result<Destination, Reason> {
        let view = self.context.patched;
        let to = match link.to {
            To::Piece(to) => to,
            To::Ignored(symbol) => {
                let section = match view.symbol(symbol).place {
                    Place::Section(section) => view.file.sections[section.0].name.clone(),
                    _ => view.symbol(symbol).name.clone(),
                };
                return Err(Reason::UnknownSection { section });
            }
            To::Outside(symbol) => return self.outside(from, link, symbol),
        };
        let piece = view.piece(to);
        if !piece.is_unique {
            self.copy(to)?;
            return Ok(Destination::Taken(to));
        }
        let reached = link.addend.wrapping_add(view.bias(from, link));
        let is_entry = reached == piece.entry as i64;
        match self.decisions.fate(to) {
            Fate::Changed { .. } if self.keeps_address(from, link, is_entry) => {
                // Who gets the address may keep it longer than the patch is there.
                self.elsewhere(from, link, to)
            }
            Fate::Changed { .. } => {
                self.need(to);
                Ok(Destination::Taken(to))
            }
            Fate::New
                if self.context.correlation.is_unclear(to) && !is_replaceable(self.context, to) =>
            {
                Err(Reason::UnclearVariable)
            }
            Fate::New | Fate::Replaced => {
                let section = view.section_of(to);
                if sections::is_registered(&section.name) {
                    let section = section.name.clone();
                    return Err(Reason::Registered { section });
                }
                if sections::is_filled_in_later(&section.name) {
                    let section = section.name.clone();
                    return Err(Reason::UnknownSection { section });
                }
                let is_new = *self.decisions.fate(to) == Fate::New;
                self.note(
                    to,
                    if is_new {
                        WhyTaken::New
                    } else {
                        WhyTaken::ChangedConstant
                    },
                );
                self.need(to);
                Ok(Destination::Taken(to))
            }
            Fate::WithCallers { .. } => {
                self.need(to);
                Ok(Destination::Taken(to))
            }
            // The patch is refused; what it would need is not looked for.
            Fate::Refused { .. } => Ok(Destination::Taken(to)),
            Fate::LeftOut { .. } => Err(Reason::InitOnly {
                section: view.section_of(to).name.clone(),
            }),
            Fate::Overridden { .. } => self.elsewhere(from, link, to),
            Fate::Unchanged if piece.is_code() && !is_entry => Err(Reason::InsideFunction {
                function: view.display(to),
            }),
            Fate::Unchanged => self.elsewhere(from, link, to),
        }
    }

    /// Whether what is at the link is the address of the function, to be called later.
    fn keeps_address(&self, from: PieceId, link: &Link, is_entry: bool) -> bool {
        let view = self.context.patched;
        let kind = view.piece(from).kind;
        let is_relative = code::is_relative(view.file.machine, link.kind);
        is_entry
            && kind != Kind::Entry
            && !view.is_branch(from, link)
            // The table of a switch.
            && !(kind == Kind::Data && is_relative)
    }

    /// Takes a copy of what is not unique.
    fn copy(&mut self, id: PieceId) -> Result<(), Reason> {
        let view = self.context.patched;
        let section = view.section_of(id);
        let piece = view.piece(id);
        if piece.kind == Kind::Data {
            if piece.symbol.is_some() {
                self.note(id, WhyTaken::Copied);
            } else if !sections::is_constant(section) && !sections::is_compilers(&section.name) {
                let section = section.name.clone();
                return Err(Reason::UnnamedVariable { section });
            }
        }
        self.need(id);
        Ok(())
    }

    fn note(&mut self, id: PieceId, why: WhyTaken) {
        if self.context.patched.piece(id).kind == Kind::Data {
            self.taken.why.insert(id, why);
        }
    }

    /// A link to an unchanged piece, or to a changed function as the kernel has it.
    fn elsewhere(
        &mut self,
        from: PieceId,
        link: &Link,
        to: PieceId,
    ) -> Result<Destination, Reason> {
        let view = self.context.patched;
        let section = view.section_of(to);
        if sections::is_init_or_exit(&section.name) {
            let section = section.name.clone();
            return Err(Reason::InitOnly { section });
        }
        let found = match self.references.get(&to) {
            Some(found) => found.clone(),
            None => {
                let found = self.look_up(to);
                self.references.insert(to, found.clone());
                found
            }
        };
        match found {
            Ok(reference) => {
                self.check_table(from, &reference)?;
                let addend = link.addend.wrapping_sub(view.piece(to).entry as i64);
                Ok(Destination::Elsewhere(reference, addend))
            }
            // A kernel need not keep the names of constants. Of what functions are in, the address
            // counts as well: it says what a thing is.
            Err(Reason::NotFound { .. })
                if sections::is_constant(section)
                    && !sections::is_filled_in_later(&section.name)
                    && !view.leads_to_functions(to) =>
            {
                self.note(to, WhyTaken::ConstantWithoutSymbol);
                self.need(to);
                Ok(Destination::Taken(to))
            }
            Err(reason) => Err(reason),
        }
    }

    fn look_up(&self, patched: PieceId) -> Result<Reference, Reason> {
        let context = self.context;
        let name = context.patched.display(patched);
        let Some(original) = context.correlation.original(patched) else {
            return Err(Reason::NotFound { symbol: name });
        };
        if let Some(symbol) = context.original.symbol_of(original) {
            if symbol.kind == elf::STT_TLS {
                return Err(Reason::UnknownSymbol { symbol: name });
            }
            if !symbol.is_local() && context.kernel.is_exported(&symbol.name) {
                return Ok(Reference {
                    name: symbol.name.clone(),
                    by: ReferBy::Export,
                });
            }
        }
        let (name, location) = context
            .locate(original)
            .map_err(|why| not_located(&name, why))?;
        Ok(at(name, location))
    }

    fn outside(&mut self, from: PieceId, link: &Link, id: SymbolId) -> Result<Destination, Reason> {
        let view = self.context.patched;
        let symbol = view.symbol(id);
        if symbol.place == Place::Absolute || symbol.name.is_empty() {
            return Ok(Destination::Number(id));
        }
        let kernel = self.context.kernel;
        // The module loader knows what this is.
        let is_loaders = symbol.name == "_GLOBAL_OFFSET_TABLE_";
        let reference = if is_loaders || kernel.is_exported(&symbol.name) {
            Reference {
                name: symbol.name.clone(),
                by: ReferBy::Export,
            }
        } else if kernel.is_shared(&symbol.name) {
            Reference {
                name: symbol.name.clone(),
                by: ReferBy::Patch,
            }
        } else {
            let wanted = Wanted {
                name: &symbol.name,
                is_function: view.is_branch(from, link),
                is_of_file: false,
                is_local: false,
                source: view.source(),
                beside: &self.context.beside,
            };
            let location = kernel
                .locate(&wanted)
                .map_err(|why| not_located(&symbol.name, why))?;
            at(symbol.name.clone(), location)
        };
        self.check_table(from, &reference)?;
        Ok(Destination::Elsewhere(reference, link.addend))
    }

    /// Entries of tables are used up when the patch is loaded, when a target module may not be
    /// there yet.
    fn check_table(&self, from: PieceId, reference: &Reference) -> Result<(), Reason> {
        let view = self.context.patched;
        let section = &view.section_of(from).name;
        let is_used_up = view.piece(from).kind == Kind::Entry
            || sections::is_per_cpu(section)
            || section.starts_with(".altinstr_");
        let is_modules = match &reference.by {
            ReferBy::Export | ReferBy::Patch => false,
            ReferBy::Position { object, .. } => object != "vmlinux",
        };
        if !is_used_up || !is_modules {
            return Ok(());
        }
        let symbol = reference.name.clone();
        Err(match section.as_str() {
            "__jump_table" => Reason::StaticKey { symbol },
            section => Reason::TableForModule {
                section: section.to_owned(),
                symbol,
            },
        })
    }

    /// What calls a module's static call goes through the trampoline, which the entry would save: it
    /// leads to the same function.
    fn leave_static_call(&mut self, id: PieceId, key: &str) {
        let call = key.strip_prefix("__SCK__").unwrap_or(key);
        self.taken.left_out.insert(LeftOut {
            what: format!("the place of static call {call} in {}", self.subject(id)),
            effect: "the new function calls it by a jump, as its key is a module's".to_owned(),
        });
    }

    /// Takes a branch for the tracepoint of a module as one that is never taken, so that it needs no
    /// entry in the table. Returns whether that is possible.
    fn silence_tracepoint(&mut self, entry: PieceId, key: &str) -> bool {
        // The low bits of the key in `struct jump_entry`, x86's <asm/jump_label.h>: the second one
        // tells objtool, which comes later, to make a NOP of the jump. The first one is for keys
        // that are true from the start.
        const FLAGS: i64 = 3;
        const BECOMES_NOP: i64 = 2;
        const PLACE: u64 = 0;
        const KEY: u64 = 8;
        let view = self.context.patched;
        let Some(tracepoint) = key.strip_prefix("__tracepoint_") else {
            return false;
        };
        let links = &view.piece(entry).links;
        let at = |offset| links.iter().find(|link| link.offset == offset);
        let (Some(place), Some(key)) = (at(PLACE), at(KEY)) else {
            return false;
        };
        let To::Piece(code) = place.to else {
            return false;
        };
        let becomes_nop = match key.addend & FLAGS {
            0 => false,
            BECOMES_NOP => true,
            _ => return false,
        };
        let Ok(offset) = usize::try_from(place.addend) else {
            return false;
        };
        let instruction = view.bytes_of(code).get(offset..).unwrap_or(&[]);
        let nop = code::jump_never_taken(view.file.machine, instruction, becomes_nop);
        let Some(nop) = nop else {
            return false;
        };
        let places = self.taken.overwritten.entry(code).or_default();
        places.insert(offset as u64, nop);
        self.taken.left_out.insert(LeftOut {
            what: format!("tracepoint {tracepoint}"),
            effect: format!(
                "does not fire in {} while it is patched, as its key is a module's",
                self.subject(entry)
            ),
        });
        true
    }

    /// What is overwritten refers to nothing any more.
    fn drop_overwritten_links(&mut self) {
        for (id, places) in &self.taken.overwritten {
            let links = &self.context.patched.piece(*id).links;
            let destinations = self.taken.pieces.get_mut(id).into_iter().flatten();
            for (link, destination) in std::iter::zip(links, destinations) {
                let before = places.range(..=link.offset).next_back();
                let is_within =
                    before.is_some_and(|(start, new)| link.offset - start < new.len() as u64);
                if is_within {
                    *destination = Destination::Gone;
                }
            }
        }
    }

    /// `.printk_index` tells by the name of a function where a message is from; nothing in the
    /// function refers to it.
    fn index_messages(&mut self) {
        let view = self.context.patched;
        let is_taken = |name: &[u8]| {
            self.taken.pieces.keys().any(|&id| {
                let piece = view.piece(id);
                let symbol = view.symbol_of(id);
                piece.kind == Kind::Function
                    && symbol.is_some_and(|symbol| names::base(&symbol.name).as_bytes() == name)
            })
        };
        let targets = |id: PieceId| {
            view.piece(id)
                .links
                .iter()
                .filter_map(|link| match link.to {
                    To::Piece(to) => Some(to),
                    _ => None,
                })
        };
        let is_about_taken = |pointer: PieceId| {
            targets(pointer).flat_map(targets).any(|string| {
                let bytes = view.bytes_of(string);
                bytes
                    .split_last()
                    .is_some_and(|(end, name)| *end == 0 && is_taken(name))
            })
        };
        let pointers: Vec<_> = view
            .ids()
            .filter(|&id| view.section_of(id).name == ".printk_index" && is_about_taken(id))
            .collect();
        for pointer in pointers {
            self.need(pointer);
        }
    }

    /// Whatever refers to the inside of a function that is taken, and is not taken itself, means
    /// something that would be missing.
    fn look_for_unknown_tables(&mut self) {
        let view = self.context.patched;
        let mut refused = Vec::new();
        for id in view.ids() {
            let piece = view.piece(id);
            // Entries of tables that are known go with the code that they are about.
            let is_known = piece.kind == Kind::Entry || piece.is_code() && piece.is_unique;
            if is_known || self.seen.contains(&id) {
                continue;
            }
            for link in &piece.links {
                let To::Piece(to) = link.to else {
                    continue;
                };
                let reached = link.addend.wrapping_add(view.bias(id, link));
                let is_inside = reached != view.piece(to).entry as i64;
                let is_taken = self.taken.pieces.contains_key(&to);
                if is_taken && is_inside && view.piece(to).is_code() {
                    let section = view.section_of(id).name.clone();
                    let reason = match section.starts_with("runtime_") {
                        true => Reason::RuntimeConstant { section },
                        false => Reason::UnknownTable { section },
                    };
                    refused.push((to, reason));
                }
            }
        }
        for (subject, reason) in refused {
            self.refuse(subject, reason);
        }
    }
}

fn at(name: String, location: Location) -> Reference {
    Reference {
        name,
        by: ReferBy::Position {
            object: location.object,
            position: location.position,
        },
    }
}
