// SPDX-License-Identifier: GPL-2.0

//! What was recorded earlier, to compare with.

use crate::figures::{Judged, Row};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// How much worse than what is recorded a figure may be.
const TOLERANCE: f64 = 0.25;

/// What small parts differ by from run to run: a part of a whole, not of itself.
const NOISE: f64 = 0.0005;

/// By the kind of kernel and the name of the row: what [`Row::judgement`] was.
#[derive(Debug, Default)]
pub struct Record(BTreeMap<String, BTreeMap<String, f64>>);

/// What a comparison has come to.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many figures are about as good as recorded, or better, and within their limits.
    pub passed: usize,
    /// A line for each one that is not.
    pub worse: Vec<String>,
}

impl Verdict {
    /// How many there are that are not.
    pub fn failed(&self) -> usize {
        self.worse.len()
    }
}

impl Record {
    /// Reads it; a file that is not there holds nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Record(serde_json::from_str(&text).with_context(place)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::default()),
            Err(error) => Err(error).with_context(place),
        }
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Takes over all rows of a kind of kernel.
    pub fn replace(&mut self, kernel: &str, rows: &[Row]) {
        let rounded = |number: f64| (number * 1e6).round() / 1e6;
        let figures = rows
            .iter()
            .filter(|row| is_recorded(row))
            .filter_map(|row| Some((row.id.clone(), rounded(row.judgement()?))))
            .collect();
        self.0.insert(kernel.to_owned(), figures);
    }

    /// Compares rows with what is recorded of them, and with limits of their own. A row that is new
    /// has only these. Where nothing is recorded, that is a failure.
    pub fn compare(&self, kernel: &str, rows: &[Row]) -> Verdict {
        let mut verdict = Verdict::default();
        let all = self.0.get(kernel);
        for row in rows {
            let recorded = all.and_then(|all| all.get(&row.id)).copied();
            if recorded.is_none() && row.limit.is_none() {
                continue;
            }
            match complaint(row, recorded) {
                None => verdict.passed += 1,
                Some(complaint) => verdict.worse.push(complaint),
            }
        }
        if all.is_none_or(BTreeMap::is_empty) {
            verdict.worse.push(format!(
                "nothing is recorded for {kernel}: make bench RECORD=1 does that"
            ));
        }
        verdict
    }
}

/// What is wrong with a row, if anything is.
fn complaint(row: &Row, recorded: Option<f64>) -> Option<String> {
    let Row { section, point, .. } = row;
    let Some(number) = row.judgement() else {
        return Some(format!("not measured: {section}: {point}"));
    };
    if let Some(limit) = row.limit.filter(|&limit| number > limit) {
        return Some(format!(
            "too much: {section}: {point} is {number:.4}, at most {limit:.4} is allowed"
        ));
    }
    let recorded = recorded?;
    let noise = if row.unit.is_empty() { NOISE } else { 0.0 };
    (number > recorded + recorded.abs() * TOLERANCE + noise)
        .then(|| format!("worse: {section}: {point} is {number:.4}, recorded is {recorded:.4}"))
}

fn is_recorded(row: &Row) -> bool {
    row.judged == Judged::Ratio || row.target.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;

    fn row(ours: f64, peer: f64) -> Row {
        let figure = |value| {
            Some(Figure {
                value,
                min: value,
                max: value,
            })
        };
        Row {
            id: "load.vmlinux.10.10".to_owned(),
            section: "Load".to_owned(),
            point: "a point".to_owned(),
            unit: "instructions".to_owned(),
            ours: figure(ours),
            peer: figure(peer),
            judged: Judged::Ratio,
            target: None,
            limit: None,
        }
    }

    fn recorded() -> Record {
        let mut record = Record::default();
        record.replace("x86_64", &[row(1.0, 2.0)]);
        record
    }

    #[test]
    fn a_ratio_that_is_worse_fails() {
        let verdict = recorded().compare("x86_64", &[row(1.3, 2.0)]);
        assert_eq!((verdict.passed, verdict.failed()), (0, 1));
    }

    #[test]
    fn a_ratio_that_is_about_the_same_passes() {
        let verdict = recorded().compare("x86_64", &[row(1.2, 2.0)]);
        assert_eq!((verdict.passed, verdict.failed()), (1, 0));
    }

    #[test]
    fn a_core_that_was_not_measured_fails() {
        let unknown = Row {
            peer: None,
            ..row(1.0, 2.0)
        };
        assert_eq!(recorded().compare("x86_64", &[unknown]).failed(), 1);
    }

    fn limited(id: &str, limit: f64, ours: f64) -> Row {
        Row {
            id: id.to_owned(),
            limit: Some(limit),
            ..row(ours, 10.0)
        }
    }

    #[test]
    fn a_limit_counts_before_anything_is_recorded() {
        let verdict = recorded().compare("x86_64", &[limited("new", 0.2, 2.0)]);
        assert_eq!((verdict.passed, verdict.failed()), (1, 0));
        let verdict = recorded().compare("x86_64", &[limited("new", 0.2, 2.1)]);
        assert_eq!((verdict.passed, verdict.failed()), (0, 1));
    }

    #[test]
    fn a_limit_counts_beside_what_is_recorded() {
        let id = "load.vmlinux.10.10";
        let compare = |limit, ours| recorded().compare("x86_64", &[limited(id, limit, ours)]);
        assert_eq!(compare(0.6, 5.0).failed(), 0);
        assert_eq!(compare(0.4, 5.0).failed(), 1);
        assert_eq!(compare(0.9, 7.0).failed(), 1);
    }

    #[test]
    fn a_new_row_without_a_limit_does_not_count() {
        let new = Row {
            id: "new".to_owned(),
            ..row(9.0, 1.0)
        };
        let verdict = recorded().compare("x86_64", &[new, row(1.0, 2.0)]);
        assert_eq!((verdict.passed, verdict.failed()), (1, 0));
    }

    #[test]
    fn limits_do_not_make_up_for_a_record() {
        let verdict = Record::default().compare("x86_64", &[limited("new", 0.2, 2.0)]);
        assert_eq!(verdict.failed(), 1);
    }

    #[test]
    fn an_architecture_without_a_record_fails() {
        assert_eq!(recorded().compare("s390", &[row(1.0, 2.0)]).failed(), 1);
    }
}
