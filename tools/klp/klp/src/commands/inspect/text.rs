// SPDX-License-Identifier: GPL-2.0

//! The report for people.

use super::report::{ObjectReport, PatchReport, Report};
use crate::terminal::{indented, plain, table, HEADING, NOTE, WARNING};
use std::io::{self, Write};

/// What a module says of itself that is shown, in this order.
const SHOWN: [&str; 9] = [
    "name",
    "description",
    "author",
    "version",
    "license",
    "vermagic",
    "depends",
    "import_ns",
    "parm",
];

/// Writes the report.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{HEADING}{}{HEADING:#}", report.file)?;
    let mut facts = plain();
    let what = if report.livepatch {
        "yes"
    } else if report.is_ordinary() {
        "no: an ordinary module"
    } else {
        "no: not marked as one, but it has parts of one"
    };
    facts.add_row(["livepatch", what]);
    facts.add_row(["machine", report.machine]);
    if !report.dialects.is_empty() {
        let dialects: Vec<_> = report.dialects.iter().copied().collect();
        facts.add_row(["dialect", &dialects.join(", ")]);
    }
    if !report.objects.is_empty() {
        let objects: Vec<_> = report.objects.iter().map(String::as_str).collect();
        facts.add_row(["objects", &objects.join(", ")]);
    }
    for key in SHOWN {
        for value in report.modinfo.get(key).into_iter().flatten() {
            facts.add_row([key, if value.is_empty() { "(none)" } else { value }]);
        }
    }
    if report.signed {
        facts.add_row(["signed", "yes"]);
    }
    write!(out, "{}", indented(&facts))?;
    if report.is_ordinary() {
        return Ok(());
    }
    for patch in &report.patches {
        write_patch(out, patch)?;
    }
    if let Some(why) = &report.patches_unknown {
        heading(out, "patched functions")?;
        unknown(out, why)?;
    } else if report.patches.is_empty() {
        heading(out, "patched functions")?;
        unknown(out, "the module does not call klp_enable_patch()")?;
    }
    write_symbols(out, report)?;
    write_sections(out, report)
}

fn heading(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "{HEADING}{text}{HEADING:#}")
}

fn unknown(out: &mut impl Write, why: &str) -> io::Result<()> {
    writeln!(out, "   {WARNING}cannot be told{WARNING:#}: {why}")
}

fn write_patch(out: &mut impl Write, patch: &PatchReport) -> io::Result<()> {
    let name = patch.variable.as_deref();
    let name = name.map_or(String::new(), |name| format!(" of '{name}'"));
    let replace = match patch.replace {
        Some(true) => ", which replaces all earlier patches",
        Some(false) => "",
        None => ", which may replace all earlier patches",
    };
    heading(out, &format!("patched functions{name}{replace}"))?;
    if let Some(why) = &patch.objects_unknown {
        return unknown(out, why);
    }
    if let Some(what) = patch.changeable {
        writeln!(
            out,
            "   {WARNING}as the file has them{WARNING:#}: the module's code refers to {what}, \
             which it may change"
        )?;
    }
    let mut functions = table(&[
        "object",
        "function",
        "position",
        "replaced by",
        "in section",
    ]);
    for object in &patch.objects {
        for function in &object.functions {
            functions.add_row([
                object.name.as_str(),
                function.name.as_deref().unwrap_or("(no name)"),
                &function.position.to_string(),
                function.new.as_deref().unwrap_or("-"),
                function.section.as_deref().unwrap_or("-"),
            ]);
        }
    }
    if functions.row_count() > 0 {
        write!(out, "{}", indented(&functions))?;
    }
    patch
        .objects
        .iter()
        .try_for_each(|object| write_object(out, object))
}

fn write_object(out: &mut impl Write, object: &ObjectReport) -> io::Result<()> {
    let name = &object.name;
    if let Some(why) = &object.functions_unknown {
        unknown(out, &format!("functions of {name}: {why}"))?;
    } else if object.functions.is_empty() {
        writeln!(out, "   {name}: no functions")?;
    }
    if !object.callbacks.is_empty() {
        writeln!(out, "   {name}: callbacks {}", object.callbacks.join(", "))?;
    }
    Ok(())
}

fn write_symbols(out: &mut impl Write, report: &Report) -> io::Result<()> {
    heading(out, "livepatch symbols")?;
    if report.symbols.is_empty() {
        return writeln!(out, "   {NOTE}none{NOTE:#}");
    }
    let mut symbols = table(&["index", "object", "symbol", "position"]);
    for symbol in &report.symbols {
        let position = symbol.position.map(|position| position.to_string());
        symbols.add_row([
            &symbol.index.to_string(),
            symbol.object.as_deref().unwrap_or("?"),
            symbol.name.as_deref().unwrap_or(&symbol.raw),
            position.as_deref().unwrap_or("?"),
        ]);
    }
    write!(out, "{}", indented(&symbols))?;
    for symbol in &report.symbols {
        if let Some(fault) = &symbol.fault {
            writeln!(out, "   {WARNING}{}{WARNING:#}: {fault}", symbol.raw)?;
        }
    }
    Ok(())
}

fn write_sections(out: &mut impl Write, report: &Report) -> io::Result<()> {
    heading(out, "livepatch relocations")?;
    if report.sections.is_empty() {
        return writeln!(out, "   {NOTE}none{NOTE:#}");
    }
    let mut sections = table(&["section", "applied with", "changes", "count", "types"]);
    for section in &report.sections {
        let types = section.types.iter();
        let types: Vec<_> = types
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        sections.add_row([
            &section.name,
            section.object.as_deref().unwrap_or("?"),
            &section.target,
            &section.relocations.to_string(),
            &types.join(", "),
        ]);
    }
    write!(out, "{}", indented(&sections))?;
    for section in &report.sections {
        if let Some(fault) = &section.fault {
            writeln!(out, "   {WARNING}{}{WARNING:#}: {fault}", section.name)?;
        }
    }
    Ok(())
}
