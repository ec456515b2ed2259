// SPDX-License-Identifier: GPL-2.0

//! `klp lint`: finds what would be refused, before it is loaded.

mod file;
mod finding;
mod functions;
mod loader;
mod reasons;
mod statics;
mod text;

pub use finding::{Finding, Place, Severity};

use crate::knowledge::Knowledge;
use crate::module::{self, Module};
use crate::object_name::ObjectNameBuf;
use crate::terminal::Color;
use anyhow::Result;
use livepatch_format::elf::Header;
use livepatch_format::error::Error;
use livepatch_format::name::Text;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The version of what the JSON looks like.
pub const SCHEMA: u32 = 1;

/// Status where something could not be looked at.
const TROUBLE: u8 = 2;

/// Find what would be refused, before it is loaded
///
/// Everything that livepatch.ko would refuse a module for, in the words of its log, and what a
/// person should know of the functions that are patched. What is not given cannot be checked, and
/// is said.
///
/// The exit status is 0 if nothing is found, 1 if something is, 2 if the check was not possible.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kernel that it is for: its vmlinux, its boot image (/boot/vmlinuz-RELEASE), its
    /// System.map, or text as in /proc/kallsyms. Only the first two tell which functions can be
    /// traced, and the vermagic; only a vmlinux which functions are inlined
    #[arg(long, value_name = "SYMBOLS", conflicts_with = "running")]
    kernel: Option<PathBuf>,

    /// It is for the running kernel, and the modules that are loaded. As root, more can be found
    #[arg(long)]
    running: bool,

    /// Where /proc, /sys and /lib of the running kernel are
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true,
        requires = "running"
    )]
    root: PathBuf,

    /// A module that is patched
    #[arg(long, value_name = "TARGET.ko")]
    module: Vec<PathBuf>,

    /// A Module.symvers: what it does not list is not exported
    #[arg(long, value_name = "FILE")]
    symvers: Vec<PathBuf>,

    /// Print JSON, as Documentation/livepatch/klp-json.md describes it
    #[arg(long)]
    json: bool,

    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// The livepatch
    #[arg(value_name = "FILE.ko")]
    file: PathBuf,
}

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

    /// Writes the findings for people to read.
    pub fn write_findings(&self, out: &mut impl io::Write) -> io::Result<()> {
        text::findings(out, self)
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

/// Runs the command.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let report = match prepare(args) {
        Ok((data, knowledge)) => check(&args.file, &data, &knowledge),
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(TROUBLE));
        }
    };
    let mut out = args.color.stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        text::write(&mut out, &report)?;
    }
    Ok(if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Reads everything that is given.
fn prepare(args: &Args) -> Result<(Vec<u8>, Knowledge)> {
    let data = module::read(&args.file)?;
    let mut knowledge = Knowledge::default();
    // What is no module is of no machine; nothing else is needed to say so.
    let machine = Header::parse(&data).and_then(|header| header.machine());
    if let Ok(machine) = machine {
        if let Some(kernel) = &args.kernel {
            knowledge.add_kernel(kernel, machine)?;
        }
        if args.running {
            knowledge.add_running(&args.root)?;
        }
        let mut given = BTreeSet::new();
        for path in &args.module {
            knowledge.add_module(path, machine, &mut given)?;
        }
    }
    for path in &args.symvers {
        knowledge.add_symvers(path)?;
    }
    Ok((data, knowledge))
}
