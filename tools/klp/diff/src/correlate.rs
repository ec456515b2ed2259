// SPDX-License-Identifier: GPL-2.0

//! Which piece of the original object is which one of the patched object.
//!
//! Names decide, where names are given by people. Numbers that the compiler appends to static
//! variables depend on what stands before them in the source: these are told apart by the
//! functions that use them.

use crate::view::{names, Kind, PieceId, To, View};
use std::collections::{BTreeMap, BTreeSet};

/// What belongs together.
#[derive(Debug)]
pub struct Correlation {
    to_patched: Vec<Option<PieceId>>,
    to_original: Vec<Option<PieceId>>,
    unclear: BTreeSet<PieceId>,
}

impl Correlation {
    /// Correlates the unique pieces of two objects.
    pub fn new(original: &View, patched: &View) -> Self {
        let mut correlation = Correlation {
            to_patched: vec![None; original.pieces.len()],
            to_original: vec![None; patched.pieces.len()],
            unclear: BTreeSet::new(),
        };
        let exact = |view: &View, id: PieceId| {
            let symbol = view.symbol_of(id)?;
            let is_code = view.piece(id).is_code();
            let is_counted = !is_code && symbol.is_local() && names::is_numbered(&symbol.name);
            (!is_counted).then(|| (is_code, symbol.name.clone()))
        };
        correlation.pair_by(original, patched, exact);
        // A clone may have got another number.
        let clone = |view: &View, id: PieceId| {
            let symbol = view.symbol_of(id)?;
            let is_counted = view.piece(id).is_code() && names::is_numbered(&symbol.name);
            is_counted.then(|| (true, names::unnumbered(&symbol.name)))
        };
        correlation.pair_by(original, patched, clone);
        correlation.pair_static_variables(original, patched);
        correlation
    }

    /// The piece of the patched object that is this one of the original.
    pub fn patched(&self, original: PieceId) -> Option<PieceId> {
        self.to_patched.get(original.0).copied().flatten()
    }

    /// The piece of the original object that is this one of the patched.
    pub fn original(&self, patched: PieceId) -> Option<PieceId> {
        self.to_original.get(patched.0).copied().flatten()
    }

    /// Whether it is not known if the original object has this piece of the patched one.
    pub fn is_unclear(&self, patched: PieceId) -> bool {
        self.unclear.contains(&patched)
    }

    fn pair(&mut self, original: PieceId, patched: PieceId) {
        self.to_patched[original.0] = Some(patched);
        self.to_original[patched.0] = Some(original);
    }

    /// Pairs what has a key that no other piece of its object has.
    fn pair_by<K: Ord>(
        &mut self,
        original: &View,
        patched: &View,
        key: impl Fn(&View, PieceId) -> Option<K>,
    ) {
        let keys = |view: &View, is_free: &dyn Fn(PieceId) -> bool| {
            let mut keys: BTreeMap<K, Option<PieceId>> = BTreeMap::new();
            for id in view
                .ids()
                .filter(|&id| view.piece(id).is_unique && is_free(id))
            {
                if let Some(key) = key(view, id) {
                    keys.entry(key)
                        .and_modify(|several| *several = None)
                        .or_insert(Some(id));
                }
            }
            keys
        };
        let before = keys(original, &|id| self.patched(id).is_none());
        let mut after = keys(patched, &|id| self.original(id).is_none());
        for (key, one) in before {
            if let (Some(one), Some(other)) = (one, after.remove(&key).flatten()) {
                self.pair(one, other);
            }
        }
    }

    fn pair_static_variables(&mut self, original: &View, patched: &View) {
        let mut before = variables(original, |id| self.patched(id).is_some());
        for (name, mut after) in variables(patched, |id| self.original(id).is_some()) {
            let mut before = before.remove(&name).unwrap_or_default();
            self.pair_same_users(&mut before, &mut after);
            self.pair_common_user(&mut before, &mut after);
            if !before.is_empty() {
                self.unclear
                    .extend(after.iter().map(|variable| variable.id));
            }
        }
    }

    /// Pairs variables that the same functions use, where there are as many on both sides: in the
    /// order of the source.
    fn pair_same_users(&mut self, before: &mut Vec<Variable>, after: &mut Vec<Variable>) {
        let users: BTreeSet<_> = before
            .iter()
            .map(|variable| variable.users.clone())
            .collect();
        for users in users {
            let of = |variables: &[Variable]| -> Vec<PieceId> {
                let same = variables.iter().filter(|variable| variable.users == users);
                same.map(|variable| variable.id).collect()
            };
            let (ours, theirs) = (of(before), of(after));
            if ours.len() != theirs.len() {
                continue;
            }
            for (one, other) in std::iter::zip(ours, theirs) {
                self.pair(one, other);
            }
            before.retain(|variable| variable.users != users);
            after.retain(|variable| variable.users != users);
        }
    }

    /// Pairs variables that share a user with each other, and with no other one.
    fn pair_common_user(&mut self, before: &mut Vec<Variable>, after: &mut Vec<Variable>) {
        let only = |among: &[Variable], users: &BTreeSet<String>| {
            let mut sharing = among
                .iter()
                .filter(|variable| !variable.users.is_disjoint(users));
            let first = sharing.next()?;
            sharing.next().is_none().then_some(first.id)
        };
        let mut pairs = Vec::new();
        for variable in after.iter() {
            let Some(one) = only(before, &variable.users) else {
                continue;
            };
            let users = before.iter().find(|variable| variable.id == one);
            let back = users.and_then(|variable| only(after, &variable.users));
            if back == Some(variable.id) {
                pairs.push((one, variable.id));
            }
        }
        for (one, other) in pairs {
            self.pair(one, other);
            before.retain(|variable| variable.id != one);
            after.retain(|variable| variable.id != other);
        }
    }
}

/// A static variable of a function.
struct Variable {
    id: PieceId,
    number: u64,
    users: BTreeSet<String>,
}

/// The numbered variables by their name in the source, in its order, but for those that are paired.
fn variables(view: &View, is_paired: impl Fn(PieceId) -> bool) -> BTreeMap<String, Vec<Variable>> {
    let users = users(view);
    let mut found: BTreeMap<String, Vec<Variable>> = BTreeMap::new();
    for id in view.ids() {
        let piece = view.piece(id);
        let Some(symbol) = view.symbol_of(id) else {
            continue;
        };
        let is_numbered = symbol.is_local() && names::is_numbered(&symbol.name);
        if piece.kind == Kind::Data && piece.is_unique && is_numbered && !is_paired(id) {
            let digits = symbol.name.rsplit('.').next().unwrap_or_default();
            found
                .entry(names::unnumbered(&symbol.name))
                .or_default()
                .push(Variable {
                    id,
                    number: digits.parse().unwrap_or(u64::MAX),
                    users: names_of_users(view, &users, id, &is_paired),
                });
        }
    }
    for variables in found.values_mut() {
        variables.sort_by_key(|variable| variable.number);
    }
    found
}

/// Who uses a variable: functions and variables, by their names in the source. For a function that
/// only one object has, because the compiler has inlined it in the other one, those who call it
/// count as well.
fn names_of_users(
    view: &View,
    users: &BTreeMap<PieceId, BTreeSet<PieceId>>,
    variable: PieceId,
    is_paired: &impl Fn(PieceId) -> bool,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::from([variable]);
    let mut waiting = vec![variable];
    while let Some(id) = waiting.pop() {
        for &user in users.get(&id).into_iter().flatten() {
            let Some(symbol) = view.symbol_of(user) else {
                continue;
            };
            found.insert(names::base(&symbol.name).to_owned());
            if view.piece(user).is_code() && !is_paired(user) && seen.insert(user) {
                waiting.push(user);
            }
        }
    }
    found
}

/// Which pieces with a name refer to which ones, themselves or in tables about them.
fn users(view: &View) -> BTreeMap<PieceId, BTreeSet<PieceId>> {
    let mut users: BTreeMap<PieceId, BTreeSet<PieceId>> = BTreeMap::new();
    let mut note = |of: PieceId, user: PieceId| {
        for link in &view.piece(of).links {
            if let To::Piece(to) = link.to {
                if to != user {
                    users.entry(to).or_default().insert(user);
                }
            }
        }
    };
    for id in view.ids().filter(|&id| view.symbol_of(id).is_some()) {
        note(id, id);
        for &entry in &view.piece(id).entries {
            note(entry, id);
        }
    }
    users
}
