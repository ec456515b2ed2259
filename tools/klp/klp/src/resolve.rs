// SPDX-License-Identifier: GPL-2.0

//! Which symbol of which object an undefined symbol stands for.

use crate::object_name::ObjectNameBuf;
use crate::reference::Reference;
use crate::similar::similar;
use crate::symbols::{Candidate, ObjectSymbols};
use crate::symvers::Symvers;
use livepatch_format::name::{SymPos, Text};
use std::fmt::{self, Write as _};
use thiserror::Error;

/// Undefined symbols that the module loader itself takes care of.
const LOADER_SYMBOLS: [&[u8]; 1] = [b"_GLOBAL_OFFSET_TABLE_"];

/// Everything that is known about the kernel and the modules to patch.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The kernel's symbols, where they were given.
    pub kernel: Option<ObjectSymbols>,
    /// The symbols of target modules.
    pub targets: Vec<ObjectSymbols>,
    /// What is exported.
    pub symvers: Symvers,
}

/// A symbol that cannot be resolved.
#[derive(Debug, Error)]
pub enum Problem {
    /// It stands in no object.
    #[error(
        "{}: found nowhere\n    searched: {searched}{}",
        Text(symbol),
        suggestions(similar)
    )]
    NotFound {
        /// The symbol.
        symbol: Vec<u8>,
        /// Where it was looked for.
        searched: String,
        /// Names that are nearly the same.
        similar: Vec<String>,
    },
    /// It is one of livepatch's own, whose exports are not known.
    #[error(
        "{}: livepatch.ko exports it, but the Module.symvers of livepatch.ko was not given\n    \
         build livepatch.ko, then give the file with --symvers",
        Text(symbol)
    )]
    Api {
        /// The symbol.
        symbol: Vec<u8>,
    },
    /// It stands several times, and the author does not say which one is meant.
    #[error(
        "{}: {} symbols have that name{}\n    state which one is meant: #include \
         <linux/klp_sym.h>, and declare it with KLP_SYM(OBJECT, {}, POSITION)",
        Text(symbol), candidates.0.len(), candidates, Text(symbol)
    )]
    Ambiguous {
        /// The symbol.
        symbol: Vec<u8>,
        /// Those of that name.
        candidates: Candidates,
    },
    /// A name that starts as a stated symbol does, and goes on differently.
    #[error(
        "{}: not of the form .klp.extern.<object>.<symbol>..<position>\n    use KLP_SYM(object, \
         symbol, position) of <linux/klp_sym.h>, with a position in plain decimal digits",
        Text(symbol)
    )]
    Malformed {
        /// The symbol.
        symbol: Vec<u8>,
    },
    /// The stated object has no such symbol.
    #[error("{stated}: {} has no such symbol\n    searched: {searched}{}",
        stated.object, suggestions(similar))]
    NotInObject {
        /// What the author states.
        stated: Reference,
        /// Where it was looked for.
        searched: String,
        /// Names that are nearly the same.
        similar: Vec<String>,
    },
    /// The stated position is 0, and the name is not unique.
    #[error("{stated}: position 0 is for a name that stands once, but there are {}{candidates}",
        candidates.0.len())]
    NotUnique {
        /// What the author states.
        stated: Reference,
        /// Those of that name.
        candidates: Candidates,
    },
    /// There are not that many.
    #[error("{stated}: there is no position {}{candidates}", stated.position.0)]
    NoSuchPosition {
        /// What the author states.
        stated: Reference,
        /// Those of that name.
        candidates: Candidates,
    },
}

/// Symbols to choose from.
#[derive(Debug)]
pub struct Candidates(Vec<(ObjectNameBuf, SymPos, Candidate)>);

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let text = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
        let objects = width(&mut self.0.iter().map(|(object, ..)| object.as_str().len())).max(6);
        let sections = width(&mut self.0.iter().map(|(.., c)| text(&c.section).len())).max(7);
        write!(
            f,
            "\n    {:objects$}  position  {:16}  {:8}  {:sections$}  file",
            "object", "address", "type", "section"
        )?;
        for (object, position, candidate) in &self.0 {
            write!(
                f,
                "\n    {object:objects$}  {:8}  {:016x}  {:8}  {:sections$}  {}",
                position.0,
                candidate.address,
                candidate.kind,
                text(&candidate.section),
                text(&candidate.file)
            )?;
        }
        if self
            .0
            .iter()
            .any(|(object, _, c)| object.is_vmlinux() && c.section.is_none())
        {
            write!(
                f,
                "\n    (a vmlinux given to --kernel would show sections and source files)"
            )?;
        }
        Ok(())
    }
}

fn suggestions(similar: &[String]) -> String {
    if similar.is_empty() {
        String::new()
    } else {
        format!("\n    similar names: {}", similar.join(", "))
    }
}

impl Knowledge {
    /// Decides what the undefined symbol `name` stands for; `None` where it is to stay an
    /// ordinary undefined symbol.
    pub fn resolve(&self, name: &[u8], is_weak: bool) -> Result<Option<Reference>, Problem> {
        if let Some(stated) = Reference::parse(name) {
            let stated = stated.map_err(|_| Problem::Malformed {
                symbol: name.to_vec(),
            })?;
            return self.check(stated).map(Some);
        }
        if is_weak || LOADER_SYMBOLS.contains(&name) {
            return Ok(None);
        }
        let exporter = self.symvers.exporter(name);
        if let Some(target) = self.exporting_target(name, exporter) {
            return Ok(Some(exported_by(target, name)));
        }
        // Symbols alone do not tell to whom they are exported.
        let is_reserved = self.symvers.is_reserved(name);
        if exporter.is_some()
            || self
                .kernel
                .as_ref()
                .is_some_and(|kernel| kernel.exports(name) && !is_reserved)
        {
            return Ok(None);
        }
        let found: Vec<_> = self
            .objects()
            .filter(|object| !object.get(name).is_empty())
            .collect();
        match found[..] {
            [] if name.starts_with(b"klp_") => Err(Problem::Api {
                symbol: name.to_vec(),
            }),
            [] => Err(Problem::NotFound {
                symbol: name.to_vec(),
                searched: self.searched(None),
                similar: similar(name, self.objects()),
            }),
            [object] if object.get(name).len() == 1 => Ok(Some(Reference {
                object: object.object.clone(),
                symbol: name.to_vec(),
                position: SymPos(0),
            })),
            _ => Err(Problem::Ambiguous {
                symbol: name.to_vec(),
                candidates: candidates(found.into_iter(), name),
            }),
        }
    }

    /// Checks what the author states, as far as the object is known.
    fn check(&self, stated: Reference) -> Result<Reference, Problem> {
        let known: Vec<_> = self
            .objects()
            .filter(|known| known.object == stated.object)
            .collect();
        if known.is_empty() {
            return Ok(stated);
        }
        let count: usize = known
            .iter()
            .map(|object| object.get(&stated.symbol).len())
            .sum();
        let all = || candidates(known.iter().copied(), &stated.symbol);
        match (stated.position.0, count) {
            (_, 0) => Err(Problem::NotInObject {
                searched: self.searched(Some(&stated.object)),
                similar: similar(&stated.symbol, known.iter().copied()),
                stated,
            }),
            (0, 1) => Ok(stated),
            (0, _) => Err(Problem::NotUnique {
                candidates: all(),
                stated,
            }),
            (position, _) if position <= count as u64 => Ok(stated),
            _ => Err(Problem::NoSuchPosition {
                candidates: all(),
                stated,
            }),
        }
    }

    /// Whether the symbol is found while its module is loaded at a place where it is gone later,
    /// so that its position is not the same at all times.
    pub fn is_position_unsteady(&self, reference: &Reference) -> bool {
        self.targets.iter().any(|target| {
            target.object == reference.object && target.also_while_loading(&reference.symbol)
        })
    }

    fn objects(&self) -> impl Iterator<Item = &ObjectSymbols> {
        self.kernel.iter().chain(&self.targets)
    }

    /// A target that exports the symbol. A patch that refers to it as to an ordinary exported
    /// symbol could not be loaded before that target.
    fn exporting_target(&self, name: &[u8], exporter: Option<&str>) -> Option<&ObjectSymbols> {
        self.targets.iter().find(|target| match exporter {
            Some(exporter) => exporter == target.object.as_str(),
            None => target.exports(name),
        })
    }

    /// What was looked through, in words.
    fn searched(&self, only: Option<&ObjectNameBuf>) -> String {
        let mut text = String::new();
        for object in self
            .objects()
            .filter(|known| only.is_none_or(|only| known.object == *only))
        {
            let separator = if text.is_empty() { "" } else { ", " };
            let source = object.source.display();
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "{separator}{} ({} names, {source})",
                object.object,
                object.len()
            );
        }
        if self.kernel.is_none() {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(
                text,
                "{separator}not the kernel, whose symbols were not given (--kernel)"
            );
        }
        text
    }
}

/// The symbol that `target` exports, which others of that name do not hide.
fn exported_by(target: &ObjectSymbols, name: &[u8]) -> Reference {
    let all = target.get(name);
    let global = (1..).zip(all).find(|(_, candidate)| candidate.global);
    let position = match global {
        Some((position, _)) if all.len() > 1 => position,
        _ => 0,
    };
    Reference {
        object: target.object.clone(),
        symbol: name.to_vec(),
        position: SymPos(position),
    }
}

/// The symbols called `name`.
pub(crate) fn candidates<'a>(
    objects: impl Iterator<Item = &'a ObjectSymbols>,
    name: &[u8],
) -> Candidates {
    let of_object = |object: &'a ObjectSymbols| {
        (1..).zip(object.get(name)).map(|(position, candidate)| {
            (object.object.clone(), SymPos(position), candidate.clone())
        })
    };
    Candidates(objects.flat_map(of_object).collect())
}
