// SPDX-License-Identifier: GPL-2.0

//! What came of a build, for people and as JSON.

use crate::console::SCHEMA;
use crate::terminal::{ERROR, GOOD, HEADING, NOTE, WARNING};
use klp_diff::model::{CallbackKind, Data, Decision, Patch, ReferBy, WhyTaken};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// There is a livepatch.
    Built,
    /// With `--list`: there would be one.
    Possible,
    /// The fix changes nothing in the kernel.
    Nothing,
    /// Something of it cannot be done by a livepatch.
    Refused,
    /// The fixed source does not compile.
    DoesNotCompile,
    /// The source is not that of the kernel.
    NotProven,
    /// Something else.
    Error,
}

/// One source file of the kernel that the fix affects.
#[derive(Debug, Serialize)]
pub struct Unit {
    /// Its path in the source.
    pub path: PathBuf,
    /// How many of its functions were found, as they are, in the kernel; none if that was not
    /// looked at.
    pub proven: Option<usize>,
    /// What becomes of it.
    #[serde(flatten)]
    pub patch: Patch,
}

/// What came of a build.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    /// What came of it.
    pub status: Status,
    /// The same in words.
    pub message: String,
    /// The livepatch.
    pub output: Option<PathBuf>,
    /// The kernel's release.
    pub release: Option<String>,
    /// What is affected.
    pub units: Vec<Unit>,
    /// What of the fix is not for the kernel, or not in it.
    pub ignored: Vec<String>,
}

impl Default for Report {
    /// One of which nothing is known yet.
    fn default() -> Self {
        Report {
            schema: SCHEMA,
            status: Status::Error,
            message: String::new(),
            output: None,
            release: None,
            units: Vec::new(),
            ignored: Vec::new(),
        }
    }
}

impl Report {
    /// Writes what is patched, and why.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut objects: BTreeMap<&str, Vec<&Unit>> = BTreeMap::new();
        for unit in &self.units {
            objects.entry(&unit.patch.object).or_default().push(unit);
        }
        for (object, units) in objects {
            writeln!(out, "{HEADING}{object}{HEADING:#}")?;
            for unit in units {
                unit.write(out)?;
            }
        }
        for what in &self.ignored {
            writeln!(out, "{NOTE}not looked at: {what}{NOTE:#}")?;
        }
        Ok(())
    }
}

impl Unit {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let proof = match self.proven {
            Some(count) if self.patch.object == "vmlinux" => {
                format!("{count} functions are the kernel's")
            }
            Some(count) => format!("{count} functions are those of {}", self.patch.object),
            None => "not compared with the kernel".to_owned(),
        };
        writeln!(out, "  {} {NOTE}({proof}){NOTE:#}", self.path.display())?;
        for function in &self.patch.functions {
            let name = &function.name;
            match &function.decision {
                Decision::Changed { because, .. } => {
                    writeln!(out, "    {GOOD}patched{GOOD:#}   {name}: {because}")?;
                }
                Decision::New { is_needed: true } => {
                    writeln!(out, "    {GOOD}new{GOOD:#}       {name}")?;
                }
                Decision::WithCallers { because } => writeln!(
                    out,
                    "    {GOOD}copied{GOOD:#}    {name}, for those who call it: {because}"
                )?,
                Decision::LeftOut { because } => {
                    writeln!(out, "    {WARNING}left out{WARNING:#}  {name}: {because}")?;
                }
                Decision::Refused { because } => {
                    writeln!(out, "    {ERROR}refused{ERROR:#}   {name}: {because}")?;
                }
                Decision::Unchanged | Decision::New { is_needed: false } => {}
            }
        }
        for callback in &self.patch.callbacks {
            let name = &callback.function;
            let when = match callback.kind {
                CallbackKind::PrePatch => "before it is patched",
                CallbackKind::PostPatch => "after it is patched",
                CallbackKind::PreUnpatch => "before it is unpatched",
                CallbackKind::PostUnpatch => "after it is unpatched",
            };
            writeln!(out, "    {GOOD}callback{GOOD:#}  {name}: {when}")?;
        }
        for Data { name, why } in &self.patch.data {
            let why = match why {
                WhyTaken::New => "new",
                WhyTaken::ChangedConstant => "a constant that the fix changes",
                WhyTaken::Copied => "belongs to one place in the code",
                WhyTaken::ConstantWithoutSymbol => "a constant that the kernel has no symbol for",
            };
            writeln!(out, "    {GOOD}data{GOOD:#}      {name}: {why}")?;
        }
        for entries in &self.patch.entries {
            let (table, count) = (&entries.table, entries.count);
            writeln!(out, "    {NOTE}entries   {table}: {count}{NOTE:#}")?;
        }
        for reference in &self.patch.references {
            if let ReferBy::Position { object, position } = &reference.by {
                let name = &reference.name;
                let which = match position {
                    0 => String::new(),
                    position => format!(", number {position} of that name"),
                };
                writeln!(out, "    {NOTE}uses      {name} of {object}{which}{NOTE:#}")?;
            }
        }
        for left in &self.patch.left_out {
            let (what, effect) = (&left.what, &left.effect);
            writeln!(out, "    {WARNING}note{WARNING:#}      {what}: {effect}")?;
        }
        for refusal in &self.patch.refusals {
            let (subject, message) = (&refusal.subject, &refusal.message);
            writeln!(out, "    {ERROR}error{ERROR:#}     {subject}: {message}")?;
            writeln!(out, "              {NOTE}{}{NOTE:#}", refusal.way_out)?;
        }
        Ok(())
    }
}
