// SPDX-License-Identifier: GPL-2.0

//! The findings for people: one line each, which tools can read as well, and what belongs to it.

use super::finding::{Finding, Place, Severity};
use super::Report;
use crate::terminal::{ERROR, GOOD, HEADING, NOTE, WARNING};
use std::io::{self, Write};

/// Writes the findings.
pub(super) fn findings(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut findings = report.findings.iter();
    findings.try_for_each(|finding| write_finding(out, &report.file, finding))
}

/// Writes the findings, what could not be checked, and how much was found.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let file = &report.file;
    findings(out, report)?;
    for what in &report.unchecked {
        writeln!(out, "{file}: {NOTE}not checked{NOTE:#}: {what}")?;
    }
    let (style, sum) = match (report.errors, report.warnings) {
        (0, 0) => (GOOD, "nothing found".to_owned()),
        (0, warnings) => (WARNING, plural(warnings, "warning")),
        (errors, 0) => (ERROR, plural(errors, "error")),
        (errors, warnings) => {
            let sum = format!(
                "{}, {}",
                plural(errors, "error"),
                plural(warnings, "warning")
            );
            (ERROR, sum)
        }
    };
    writeln!(out, "{file}: {style}{sum}{style:#}")
}

fn write_finding(out: &mut impl Write, file: &str, finding: &Finding) -> io::Result<()> {
    let (style, word) = match finding.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    };
    for line in finding.message.lines() {
        let id = finding.id;
        writeln!(
            out,
            "{file}: {style}{word}[{id}]{style:#}: {HEADING}{line}{HEADING:#}"
        )?;
    }
    if let Some(place) = describe(&finding.place) {
        writeln!(out, "    in {place}")?;
    }
    if let Some(errno) = finding.errno {
        writeln!(out, "    refused with {errno}")?;
    }
    if let Some(help) = &finding.help {
        writeln!(out, "    {help}")?;
    }
    Ok(())
}

fn describe(place: &Place) -> Option<String> {
    let parts: Vec<_> = [
        place.section.as_ref().map(|name| format!("section {name}")),
        place.relocation.map(|nr| format!("relocation {nr}")),
        place.symbol.as_ref().map(|name| format!("symbol {name}")),
        place.object.as_ref().map(|name| format!("object {name}")),
        place
            .function
            .as_ref()
            .map(|name| format!("function {name}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
