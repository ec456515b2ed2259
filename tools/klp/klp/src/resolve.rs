// SPDX-License-Identifier: GPL-2.0

//! Which symbol of which object an undefined symbol stands for.

use crate::knowledge::{Knowledge, Known};
use crate::object_name::ObjectNameBuf;
use crate::reference::{is_same_file, Reference, Stated, Which};
use crate::similar::{self, similar};
use crate::symbols::{Candidate, ObjectSymbols};
use livepatch_format::name::{ObjectName, SymPos, Text};
use livepatch_format::refusal::Unresolved;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use thiserror::Error;

/// Undefined symbols that the module loader itself takes care of.
const LOADER_SYMBOLS: [&[u8]; 1] = [b"_GLOBAL_OFFSET_TABLE_"];

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
         build livepatch.ko for the kernel, then name the file in LIVEPATCH_SYMVERS= for make, or \
         give it to klp convert with --symvers",
        Text(symbol)
    )]
    Api {
        /// The symbol.
        symbol: Vec<u8>,
    },
    /// It stands several times, and the author does not say which one is meant.
    #[error(
        "{}: {} symbols have that name{}\n    state which one is meant: #include \
         <linux/klp_sym.h>, and declare it with KLP_SYM_FILE(OBJECT, {}, \"FILE\") or with \
         KLP_SYM(OBJECT, {}, POSITION)",
        Text(symbol), candidates.0.len(), candidates, Text(symbol), Text(symbol)
    )]
    Ambiguous {
        /// The symbol.
        symbol: Vec<u8>,
        /// Those of that name.
        candidates: Candidates,
    },
    /// A name that starts as a stated symbol does, and goes on differently.
    #[error(
        "{}: not of the form .klp.extern.<object>.<symbol>..<position or file>\n    use \
         KLP_SYM(object, symbol, position) of <linux/klp_sym.h>, with a position in plain decimal \
         digits, or KLP_SYM_FILE(object, symbol, \"dir/file.c\")",
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
        stated: Stated,
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
        stated: Stated,
        /// Those of that name.
        candidates: Candidates,
    },
    /// There are not that many.
    #[error("{stated}: there is no position {}{candidates}", position.0)]
    NoSuchPosition {
        /// What the author states.
        stated: Stated,
        /// The position in it.
        position: SymPos,
        /// Those of that name.
        candidates: Candidates,
    },
    /// No file of that name has it.
    #[error("{stated}: no file of that name has it{candidates}")]
    NotInFile {
        /// What the author states.
        stated: Stated,
        /// Those of that name.
        candidates: Candidates,
    },
    /// Several have it, or have it several times.
    #[error(
        "{stated}: {} symbols of that name are in such a file{candidates}\n    state more of its \
         path, which only debug information tells, or the position with KLP_SYM()",
        candidates.0.len()
    )]
    SeveralInFile {
        /// What the author states.
        stated: Stated,
        /// Those in a file of that name.
        candidates: Candidates,
    },
    /// It is of a module's init code or data.
    #[error("{0}")]
    Freed(String),
    /// The object is not known, and so neither are its files.
    #[error(
        "{stated}: the symbols of {} were not given, which tell the files that they are from\n    \
         name the kernel in KLP_KERNEL= for make, a module in KLP_TARGETS of the Makefile, or give \
         them to klp convert with --kernel or --module", stated.object
    )]
    UnknownObject {
        /// What the author states.
        stated: Stated,
    },
}

/// Symbols to choose from.
#[derive(Debug)]
pub struct Candidates(Vec<(ObjectNameBuf, SymPos, Candidate)>);

impl Stated {
    /// The symbol, which was found at this position.
    fn at(self, position: SymPos) -> Reference {
        Reference {
            object: self.object,
            symbol: self.symbol,
            position,
        }
    }
}

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
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
    similar::shown(similar)
        .map(|names| format!("\n    {names}"))
        .unwrap_or_default()
}

impl Knowledge {
    /// Decides what the undefined symbol `name` stands for; `None` where it is to stay an
    /// ordinary undefined symbol.
    pub fn resolve(&self, name: &[u8], is_weak: bool) -> Result<Option<Reference>, Problem> {
        if let Some(stated) = Stated::parse(name) {
            let stated = stated.map_err(|_| Problem::Malformed {
                symbol: name.to_vec(),
            })?;
            return self.check(stated).map(Some);
        }
        if is_weak || LOADER_SYMBOLS.contains(&name) {
            return Ok(None);
        }
        if let Some(reference) = self.exported_by_target(name) {
            return Ok(Some(reference));
        }
        if self.is_exported(name) {
            return Ok(None);
        }
        let found: Vec<_> = self
            .known()
            .filter(|known| !known.symbols.get(name).is_empty())
            .collect();
        match found[..] {
            [] if name.starts_with(b"klp_") => Err(Problem::Api {
                symbol: name.to_vec(),
            }),
            [] => {
                self.targets().try_for_each(|target| freed(target, name))?;
                Err(Problem::NotFound {
                    symbol: name.to_vec(),
                    searched: self.searched(None),
                    similar: similar(name, self.all()),
                })
            }
            [known] if known.symbols.get(name).len() == 1 => Ok(Some(Reference {
                object: known.symbols.object.clone(),
                symbol: name.to_vec(),
                position: SymPos(0),
            })),
            _ => Err(Problem::Ambiguous {
                symbol: name.to_vec(),
                candidates: candidates(found.into_iter(), name),
            }),
        }
    }

    /// Whether every module can refer to the symbol by its name alone. What a target exports is
    /// not counted: see [`Knowledge::exported_by_target`].
    pub fn is_exported(&self, name: &[u8]) -> bool {
        let exporter = self.exporter(name);
        if self.exporting_target(name, exporter).is_some() {
            return false;
        }
        // Symbols alone do not tell to whom they are exported.
        let symvers = self.symvers.as_ref();
        let is_reserved = symvers.is_some_and(|symvers| symvers.is_reserved(name));
        let kernel = self.kernel();
        let is_the_kernel_s = kernel.is_some_and(|known| known.symbols.exports(name));
        exporter.is_some() || is_the_kernel_s && !is_reserved
    }

    /// The symbol, if a target exports it. A patch that refers to it as to an ordinary exported
    /// symbol could not be loaded before that target.
    pub fn exported_by_target(&self, name: &[u8]) -> Option<Reference> {
        let target = self.exporting_target(name, self.exporter(name))?;
        Some(exported_by(target, name))
    }

    /// Checks what the author states, as far as the object is known.
    fn check(&self, stated: Stated) -> Result<Reference, Problem> {
        let Some(known) = self.get(stated.object.as_str().as_bytes()) else {
            return match stated.which {
                Which::Position(position) => Ok(stated.at(position)),
                Which::File(_) => Err(Problem::UnknownObject { stated }),
            };
        };
        let all = || candidates(std::iter::once(known), &stated.symbol);
        let count = known.symbols.get(&stated.symbol).len() as u64;
        if count == 0 {
            freed(&known.symbols, &stated.symbol)?;
            return Err(Problem::NotInObject {
                searched: self.searched(Some(&stated.object)),
                similar: similar(&stated.symbol, std::iter::once(&known.symbols)),
                stated,
            });
        }
        match &stated.which {
            Which::Position(SymPos(0)) if count != 1 => Err(Problem::NotUnique {
                candidates: all(),
                stated,
            }),
            &Which::Position(position) if position.0 <= count => Ok(stated.at(position)),
            &Which::Position(position) => Err(Problem::NoSuchPosition {
                candidates: all(),
                position,
                stated,
            }),
            Which::File(file) => {
                let is_in_file = |candidate: &Candidate| {
                    let known = candidate.file.as_ref();
                    known.is_some_and(|known| is_same_file(file, known))
                };
                let all = all();
                let mut found = all.0.clone();
                found.retain(|(.., candidate)| is_in_file(candidate));
                match found[..] {
                    [] => Err(Problem::NotInFile {
                        candidates: all,
                        stated,
                    }),
                    [_] if count == 1 => Ok(stated.at(SymPos(0))),
                    [(_, position, _)] => Ok(stated.at(position)),
                    _ => Err(Problem::SeveralInFile {
                        candidates: Candidates(found),
                        stated,
                    }),
                }
            }
        }
    }

    /// A target that exports the symbol.
    fn exporting_target(&self, name: &[u8], exporter: Option<&str>) -> Option<&ObjectSymbols> {
        self.targets().find(|target| match exporter {
            Some(exporter) => exporter == target.object.as_str(),
            None => target.exports(name),
        })
    }

    /// What was looked through, in words.
    fn searched(&self, only: Option<&ObjectNameBuf>) -> String {
        let mut text = String::new();
        for object in self
            .all()
            .filter(|known| only.is_none_or(|only| known.object == *only))
        {
            let separator = if text.is_empty() { "" } else { ", " };
            let source = object.source.display();
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "{separator}{} ({} names{}, {source})",
                object.object,
                object.len(),
                if object.functions_only {
                    ", no variables, as the kernel is built without CONFIG_KALLSYMS_ALL"
                } else {
                    ""
                }
            );
        }
        if self.kernel().is_none() {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(
                text,
                "{separator}not the kernel, whose symbols were not given (--kernel)"
            );
        }
        text
    }
}

/// Refuses a symbol of a module's init code or data, in the words in which the kernel does so.
fn freed(module: &ObjectSymbols, symbol: &[u8]) -> Result<(), Problem> {
    match ObjectName::new(module.object.as_str().as_bytes()) {
        Ok(object) if module.is_init(symbol) => {
            let freed = Unresolved::Freed { symbol, object };
            Err(Problem::Freed(freed.to_string()))
        }
        _ => Ok(()),
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

/// The symbols called `name`, with their files.
pub(crate) fn candidates<'a>(objects: impl Iterator<Item = &'a Known>, name: &[u8]) -> Candidates {
    let of_object = |known: &'a Known| {
        let all = known.with_files(known.symbols.get(name).to_vec());
        let object = &known.symbols.object;
        (1..)
            .zip(all)
            .map(move |(position, candidate)| (object.clone(), SymPos(position), candidate))
    };
    Candidates(objects.flat_map(of_object).collect())
}
