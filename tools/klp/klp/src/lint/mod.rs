// SPDX-License-Identifier: GPL-2.0

//! Finding what would be refused, before it is loaded.

mod file;
mod finding;
mod functions;
mod loader;
mod reasons;
mod statics;
mod text;

pub use finding::{Finding, Place, Severity};

use crate::console::{Console, SCHEMA};
use crate::file::module::Module;
use crate::knowledge::Knowledge;
use crate::object_name::ObjectNameBuf;
use livepatch_format::error::Error;
use livepatch_format::name::Text;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    file: String,
    /// How many findings are errors.
    pub errors: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// All of them.
    pub findings: Vec<Finding>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

impl Report {
    /// Adds something that somebody should know.
    pub fn warn(&mut self, finding: Finding) {
        self.warnings += 1;
        self.findings.push(finding);
    }

    /// Leaves out warnings of which it is known by other means that nothing is wrong.
    pub fn forget(&mut self, id: &str) {
        self.findings
            .retain(|finding| finding.id != id || finding.severity == Severity::Error);
        self.warnings = self.findings.len() - self.errors;
    }

    /// The findings, for people to read.
    ///
    /// # Errors
    ///
    /// It cannot be written to `out`.
    pub fn write_findings(&self, out: &mut impl io::Write) -> io::Result<()> {
        text::findings(out, self)
    }

    /// All of it, for people to read.
    ///
    /// # Errors
    ///
    /// It cannot be written to `out`.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        text::write(out, self)
    }

    /// Notes the findings, where there are any.
    pub fn note(&self, console: &mut Console) {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        if self.write_findings(&mut text).is_ok() && !text.is_empty() {
            console.note(String::from_utf8_lossy(&text).trim_end());
        }
    }
}

/// A module that is looked at.
struct Lint<'a> {
    module: &'a Module<'a>,
    knowledge: &'a Knowledge,
    findings: Vec<Finding>,
    /// What tells findings apart.
    seen: HashSet<(&'static str, Place, String)>,
    unchecked: Vec<String>,
    /// The objects of livepatch relocation sections.
    section_objects: BTreeSet<ObjectNameBuf>,
}

impl Lint<'_> {
    /// Adds a finding, once.
    fn push(&mut self, finding: Finding) {
        let key = (finding.id, finding.place.clone(), finding.message.clone());
        if self.seen.insert(key) {
            self.findings.push(finding);
        }
    }

    /// Something cannot be checked.
    fn unchecked(&mut self, what: String) {
        if !self.unchecked.contains(&what) {
            self.unchecked.push(what);
        }
    }

    /// An object is not known.
    fn unknown_object(&mut self, object: &[u8]) {
        self.unchecked(match object {
            livepatch_format::name::VMLINUX => "the kernel's symbols: give --kernel".to_owned(),
            name => format!("the symbols of {0}: give --module {0}.ko", Text(name)),
        });
    }
}

/// Checks a module's file.
pub fn check(path: &Path, data: &[u8], knowledge: &Knowledge) -> Report {
    let (findings, unchecked) = match Module::parse(data) {
        Ok(module) => {
            let mut lint = Lint {
                module: &module,
                knowledge,
                findings: Vec::new(),
                seen: HashSet::new(),
                unchecked: Vec::new(),
                section_objects: BTreeSet::new(),
            };
            file::check(&mut lint);
            functions::check(&mut lint);
            loader::vermagic(&mut lint);
            loader::imports(&mut lint);
            let ordinary = !module.is_marked() && lint.findings.is_empty();
            if ordinary {
                lint.unchecked("it is no livepatch: there is nothing of livepatch to check".into());
            }
            (lint.findings, lint.unchecked)
        }
        Err(error) => (vec![unreadable(error)], Vec::new()),
    };
    let errors = findings
        .iter()
        .filter(|one| one.severity == Severity::Error);
    let errors = errors.count();
    Report {
        schema: SCHEMA,
        file: path.display().to_string(),
        errors,
        warnings: findings.len() - errors,
        findings,
        unchecked,
    }
}

/// What is no module is refused by the kernel itself, most often without a word.
fn unreadable(error: Error) -> Finding {
    let id = finding::error_id(error);
    Finding::kernel(id, "ENOEXEC", error.to_string(), Place::default())
}
