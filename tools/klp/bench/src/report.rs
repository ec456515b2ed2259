// SPDX-License-Identifier: GPL-2.0

//! What is told of the figures: a table, a file for programs, the document, and whether anything
//! got worse.

use crate::figures::{grouped, rows, Figure, Judged, Row, Runs};
use crate::matrix::Matrix;
use crate::picture;
use crate::record::Record;
use crate::results::Run;
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Turns what was counted into figures.
///
/// Ends with `N passed, N failed`: one for each figure that was recorded earlier, or has a limit. It
/// has failed where it is more than 1.25 times what was recorded, or more than its limit.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The kind of kernel: an architecture, or with a variant as in `x86_64-debian`
    #[arg(long)]
    name: String,
    /// The points of a quick run
    #[arg(long)]
    quick: bool,
    /// A directory with the files `output` and `counts` of a run with livepatch.ko
    #[arg(long, required = true)]
    ours: Vec<PathBuf>,
    /// The same of the C core
    #[arg(long)]
    peer: Vec<PathBuf>,
    /// The file of what was recorded
    #[arg(long)]
    recorded: PathBuf,
    /// Record the figures of this run, there and in the document
    #[arg(long)]
    record: bool,
    /// The document
    #[arg(long)]
    document: PathBuf,
    /// What was measured, and when, for the document
    #[arg(long)]
    subject: String,
    /// Where the results go
    out: PathBuf,
}

#[derive(Serialize)]
struct Results<'a> {
    name: &'a str,
    subject: &'a str,
    rows: &'a [Row],
}

/// Prints and writes it all.
pub fn report(args: &ReportArgs) -> Result<ExitCode> {
    let read = |directories: &[PathBuf]| {
        directories
            .iter()
            .map(|dir| Run::read(&dir.join("output"), &dir.join("counts")))
            .collect::<Result<Vec<_>>>()
    };
    let runs = Runs {
        ours: read(&args.ours)?,
        peer: read(&args.peer)?,
    };
    let arch = args.name.split('-').next().unwrap_or_default();
    let rows = rows(&Matrix::new(args.quick), &runs, arch)?;

    let results = Results {
        name: &args.name,
        subject: &args.subject,
        rows: &rows,
    };
    write(
        &args.out.join("results.json"),
        &(serde_json::to_string_pretty(&results)? + "\n"),
    )?;
    let svg = picture::svg(&rows, &args.name)?;
    write(&args.out.join("curves.svg"), &svg)?;
    let table = table(&rows);
    write(&args.out.join("table.txt"), &table)?;
    print!("{table}");

    let mut record = Record::read(&args.recorded)?;
    if args.record {
        record.replace(&args.name, &rows);
        record.write(&args.recorded)?;
        replace_section(&args.document, &args.name, &markdown(&rows, &args.subject))?;
        println!("\nrecorded in {}", args.recorded.display());
    }
    let verdict = record.compare(&args.name, &rows);
    println!();
    verdict.worse.iter().for_each(|line| println!("{line}"));
    println!("{} passed, {} failed", verdict.passed, verdict.failed());
    Ok(match verdict.failed() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// The cells of a row after its point: ours, the C core's, ratio, target, spread.
fn cells(row: &Row) -> [String; 6] {
    let figure = |figure: Option<Figure>| {
        figure.map_or("-".to_owned(), |figure| number(figure.value, &row.unit))
    };
    let spread = [row.ours, row.peer]
        .into_iter()
        .flatten()
        .map(|figure| figure.spread())
        .fold(0.0, f64::max);
    [
        figure(row.ours),
        figure(row.peer),
        row.ratio().map_or("-".to_owned(), short),
        row.target.map_or(String::new(), |target| match row.judged {
            Judged::Ratio => short(target),
            Judged::Value => number(target, &row.unit),
        }),
        row.is_met()
            .map_or("", |met| if met { "met" } else { "NOT MET" })
            .to_owned(),
        format!("{:.1} %", spread * 100.0),
    ]
}

fn short(ratio: f64) -> String {
    let decimals = match ratio.abs() {
        small if small < 0.1 => 4,
        _ => 2,
    };
    format!("{ratio:.decimals$}")
}

/// A number with its unit, where that is not the table's.
fn number(value: f64, unit: &str) -> String {
    match unit {
        "" => format!("{:.2} %", value * 100.0),
        "instructions" | "bytes" if value.abs() >= 1_000.0 => grouped(value.round() as i64),
        "instructions" | "bytes" => format!("{value:.1}"),
        _ => format!("{value:.2} {unit}"),
    }
}

const HEAD: [&str; 7] = [
    "",
    "livepatch.ko",
    "C core",
    "ratio",
    "wanted",
    "",
    "spread",
];

fn table(rows: &[Row]) -> String {
    let lines: Vec<(&str, [String; 6])> = rows
        .iter()
        .map(|row| (row.point.as_str(), cells(row)))
        .collect();
    let first = lines.iter().map(|line| line.0.len()).max().unwrap_or(0);
    let mut widths: Vec<usize> = HEAD.iter().skip(1).map(|name| name.len()).collect();
    for (_, cells) in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.len());
        }
    }

    let mut out = String::new();
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut text = format!("{name:first$}");
        for (width, cell) in widths.iter().zip(cells) {
            let _ = write!(text, "  {cell:>width$}");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line("", &mut HEAD.iter().skip(1).copied());
    let mut section = "";
    for (row, (point, cells)) in rows.iter().zip(&lines) {
        if row.section != section {
            section = &row.section;
            line("", &mut std::iter::empty());
            line(&heading(row), &mut std::iter::empty());
        }
        line(point, &mut cells.iter().map(String::as_str));
    }
    out
}

fn heading(row: &Row) -> String {
    match row.unit.as_str() {
        "" => row.section.clone(),
        unit => format!("{} ({unit})", row.section),
    }
}

fn markdown(rows: &[Row], subject: &str) -> String {
    let mut out = format!("{subject}\n");
    let mut section = "";
    for row in rows {
        if row.section != section {
            section = &row.section;
            let _ = write!(
                out,
                "\n| {} | livepatch.ko | C core | ratio | wanted | | spread |\n\
                 | --- | ---: | ---: | ---: | ---: | --- | ---: |\n",
                heading(row)
            );
        }
        let cells = cells(row).map(|cell| match cell.as_str() {
            "NOT MET" => "**not met**".to_owned(),
            _ => cell,
        });
        let _ = writeln!(out, "| {} | {} |", row.point, cells.join(" | "));
    }
    out
}

/// Replaces what stands in a document between the comments for that architecture.
fn replace_section(document: &Path, name: &str, text: &str) -> Result<()> {
    let old = fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let (begin, end) = (
        format!("<!-- {name}: begin -->"),
        format!("<!-- {name}: end -->"),
    );
    let (before, rest) = old
        .split_once(&begin)
        .with_context(|| format!("{} has no {begin}", document.display()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{} has no {end}", document.display()))?;
    write(
        document,
        &format!("{before}{begin}\n\n{text}\n{end}{after}"),
    )
}
