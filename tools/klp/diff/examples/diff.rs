// SPDX-License-Identifier: GPL-2.0

//! Compares two objects by hand, to see what the library makes of them:
//!
//!     diff OBJECT UNIT ORIGINAL.o PATCHED.o System.map Module.symvers [OUT.o OUT.c]
//!
//! prints the model. Symbols of modules have the module's name behind theirs in System.map, in
//! brackets, as in /proc/kallsyms. Of namesakes, that one is taken which has most of the file's other
//! symbols around it.

use klp_diff::{describe, diff, Kernel, Location, NotLocated, Options, Target, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;

/// How far around a symbol its file is looked for.
const AROUND: usize = 40;

struct Files {
    /// What is patched.
    target: String,
    names: Vec<String>,
    /// What nm says that each is.
    letters: Vec<char>,
    /// By object and name.
    by_name: BTreeMap<(String, String), Vec<usize>>,
    exported: BTreeSet<String>,
}

impl Files {
    /// The symbols of a name, in the target or else in the kernel.
    fn find(&self, name: &str) -> Option<(&str, &[usize])> {
        [self.target.as_str(), "vmlinux"]
            .into_iter()
            .find_map(|object| {
                let found = self.by_name.get(&(object.to_owned(), name.to_owned()))?;
                Some((object, &found[..]))
            })
    }
}

impl Kernel for Files {
    fn is_exported(&self, name: &str) -> bool {
        self.exported.contains(name)
    }

    fn locate(&self, wanted: &Wanted<'_>) -> Result<Location, NotLocated> {
        let (object, found) = self.find(wanted.name).ok_or(NotLocated::Missing)?;
        let beside: BTreeSet<_> = wanted.beside.iter().map(String::as_str).collect();
        let score = |at: usize| {
            let around = at.saturating_sub(AROUND)..(at + AROUND).min(self.names.len());
            let names = around.map(|index| self.names[index].as_str());
            names.filter(|name| beside.contains(name)).count()
        };
        let position = match found.len() {
            1 => 0,
            _ if !wanted.is_of_file => {
                let candidates = format!("{} symbols", found.len());
                return Err(NotLocated::Ambiguous { candidates });
            }
            _ => {
                let best = (0..found.len()).max_by_key(|&index| score(found[index]));
                best.unwrap_or_default() as u64 + 1
            }
        };
        Ok(Location {
            object: object.to_owned(),
            position,
        })
    }

    fn is_weak(&self, name: &str, location: &Location) -> Option<bool> {
        let (_, found) = self.find(name)?;
        let which = (location.position as usize).saturating_sub(1);
        let letter = self.letters.get(*found.get(which)?)?;
        Some(matches!(letter, 'W' | 'V'))
    }

    fn has_call_site(&self, _: &str, _: &Location) -> Option<bool> {
        None
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let (object, unit, original, patched, map, symvers, out) = match &words[..] {
        [object, unit, original, patched, map, symvers, out @ ..] => {
            (object, unit, original, patched, map, symvers, out)
        }
        _ => return Err("see the head of this file".into()),
    };
    let map = fs::read_to_string(map)?;
    let mut files = Files {
        target: object.clone(),
        names: Vec::new(),
        letters: Vec::new(),
        by_name: BTreeMap::new(),
        exported: BTreeSet::new(),
    };
    for line in map.lines() {
        let (letter, name, of) = match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, letter, name] => (letter, name, "vmlinux"),
            [_, letter, name, of] => (letter, name, of.trim_matches(['[', ']'])),
            _ => return Err("System.map: a line without a name".into()),
        };
        let key = (of.to_owned(), name.to_owned());
        let indices = files.by_name.entry(key).or_default();
        indices.push(files.names.len());
        files.names.push(name.to_owned());
        files.letters.extend(letter.chars().next());
    }
    for line in fs::read_to_string(symvers)?.lines() {
        let name = line
            .split('\t')
            .nth(1)
            .ok_or("Module.symvers: a line without a name")?;
        files.exported.insert(name.to_owned());
    }
    let target = Target {
        object: object.clone(),
        unit: unit.clone(),
    };
    let diff = diff(&fs::read(original)?, &fs::read(patched)?, &target, &files)?;
    let mut shown = diff.patch.clone();
    let is_unchanged = |function: &klp_diff::model::Function| {
        function.decision == klp_diff::model::Decision::Unchanged
    };
    shown.functions.retain(|function| !is_unchanged(function));
    println!("{}", serde_json::to_string_pretty(&shown)?);
    if let ([object, source], Some(bytes)) = (out, &diff.object) {
        fs::write(object, bytes)?;
        let options = Options {
            description: format!("Livepatch: {unit}"),
            replace: false,
            namespaces: BTreeSet::new(),
        };
        fs::write(source, describe([&diff.patch], &options)?)?;
    }
    Ok(())
}
