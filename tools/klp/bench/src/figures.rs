// SPDX-License-Identifier: GPL-2.0

//! From what was counted to figures: one for each core and point, the ratio of both, and whether
//! it is what is wanted.

use crate::matrix::{label, Core, Load, Matrix, MEMORY_PATCHES};
use crate::modules::FUNCTIONS;
use crate::results::{Memory, Region, Run};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How often the test module calls each function: `CALLS` of
/// `tools/testing/bench/modules/klp_bench_target.c`.
const CALLS: f64 = 10_000.0;

/// The kernel's memory, without what is free.
const HELD: [&str; 4] = ["objects", "large", "vmalloc", "percpu"];

/// A figure of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Of the run in the middle.
    pub value: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Figure {
            value: *values.get(values.len() / 2)?,
            min: *values.first()?,
            max: *values.last()?,
        })
    }

    /// What the runs differ by, as a part of the value.
    pub fn spread(&self) -> f64 {
        match self.value == 0.0 {
            true => 0.0,
            false => (self.max - self.min) / self.value.abs(),
        }
    }
}

/// What decides whether a row is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Judged {
    /// The ratio of ours to the C core's.
    Ratio,
    /// Our figure by itself.
    Value,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name from run to run.
    pub id: String,
    /// The section of the table.
    pub section: String,
    /// The point.
    pub point: String,
    /// Of what the figures are.
    pub unit: String,
    /// With livepatch.ko.
    pub ours: Option<Figure>,
    /// With the C core.
    pub peer: Option<Figure>,
    /// What is judged.
    pub judged: Judged,
    /// At most that is wanted.
    pub target: Option<f64>,
    /// More than that fails a run, whatever is recorded.
    pub limit: Option<f64>,
}

impl Row {
    /// Ours to the C core's.
    pub fn ratio(&self) -> Option<f64> {
        let (ours, peer) = (self.ours?.value, self.peer?.value);
        (peer > 0.0).then(|| ours / peer)
    }

    /// The number that is judged, remembered, and compared.
    pub fn judgement(&self) -> Option<f64> {
        match self.judged {
            Judged::Ratio => self.ratio(),
            Judged::Value => Some(self.ours?.value),
        }
    }

    /// Whether it is as wanted, if anything is.
    pub fn is_met(&self) -> Option<bool> {
        Some(self.judgement()? <= self.target?)
    }
}

/// The runs of both cores.
pub struct Runs {
    /// With livepatch.ko.
    pub ours: Vec<Run>,
    /// With the C core.
    pub peer: Vec<Run>,
}

/// All rows.
pub fn rows(matrix: &Matrix, runs: &Runs, arch: &str) -> Result<Vec<Row>> {
    let mut rows = Rows {
        runs,
        rows: Vec::new(),
    };
    rows.loads(matrix)?;
    rows.calls(matrix, arch)?;
    rows.switches(matrix)?;
    rows.functions()?;
    rows.blocked(matrix)?;
    rows.memory(matrix)?;
    rows.ordinary(matrix)?;
    Ok(rows.rows)
}

struct Rows<'a> {
    runs: &'a Runs,
    rows: Vec<Row>,
}

impl Rows<'_> {
    /// A figure of each run of a core; none where the core was not measured.
    fn figure(&self, core: Core, of: impl Fn(&Run) -> Result<f64>) -> Result<Option<Figure>> {
        let runs = match core {
            Core::Ours => &self.runs.ours,
            Core::Peer => &self.runs.peer,
        };
        let values = runs.iter().map(of).collect::<Result<_>>()?;
        Ok(Figure::of(values))
    }

    /// A row that compares both cores.
    fn compare(
        &mut self,
        id: String,
        (section, point): (&str, String),
        unit: &str,
        target: Option<f64>,
        of: impl Fn(&Run) -> Result<f64>,
    ) -> Result<&mut Row> {
        let row = Row {
            ours: self
                .figure(Core::Ours, &of)
                .with_context(|| format!("{id}, livepatch.ko"))?,
            peer: self
                .figure(Core::Peer, &of)
                .with_context(|| format!("{id}, C core"))?,
            id,
            section: section.to_owned(),
            point,
            unit: unit.to_owned(),
            judged: Judged::Ratio,
            target,
            limit: None,
        };
        Ok(self.rows.push_mut(row))
    }

    /// A row of ours only.
    fn alone(
        &mut self,
        id: String,
        (section, point): (&str, String),
        unit: &str,
        target: Option<f64>,
        of: impl Fn(&Run) -> Result<f64>,
    ) -> Result<&mut Row> {
        let row = Row {
            ours: self.figure(Core::Ours, of).with_context(|| id.clone())?,
            peer: None,
            id,
            section: section.to_owned(),
            point,
            unit: unit.to_owned(),
            judged: Judged::Value,
            target,
            limit: None,
        };
        Ok(self.rows.push_mut(row))
    }

    fn loads(&mut self, matrix: &Matrix) -> Result<()> {
        for &load in &matrix.loads {
            let Load {
                symbols,
                relocations,
                used,
            } = load;
            let against = match symbols {
                None => "the kernel".to_owned(),
                Some(symbols) => format!("a module of {}", grouped(symbols)),
            };
            let target = match (symbols, relocations, used) {
                (None, 10, 10) => Some(1.2),
                (None, 10_000, 1_000) => Some(0.2),
                (Some(10_000), 10_000, 1_000) => Some(0.01),
                _ => None,
            };
            let point = format!(
                "{} relocations to {} symbols of {against}",
                grouped(relocations),
                grouped(used)
            );
            let (label, empty) = (load.label(), load.empty().label());
            self.compare(
                label.clone(),
                ("Load", point),
                "instructions",
                target,
                |run| Ok(run.typical(&label)? - run.typical(&empty)?),
            )?;
        }
        Ok(())
    }

    fn calls(&mut self, matrix: &Matrix, arch: &str) -> Result<()> {
        for traced in [false, true] {
            for &patches in &matrix.stacked {
                let label = label::call(traced, patches);
                let point = match patches {
                    0 => "no patch".to_owned(),
                    1 => "one patch".to_owned(),
                    _ => format!("{patches} patches"),
                };
                let point = point + if traced { ", traced" } else { "" };
                let target = (arch == "s390" && !traced && patches > 0).then_some(0.7);
                self.compare(
                    label.clone(),
                    ("Call", point),
                    "instructions",
                    target,
                    |run| call(run.last(&label)?),
                )?;
            }
        }
        let (label, unpatched) = (label::call(false, 1), label::call(false, 0));
        self.alone(
            "call.added".to_owned(),
            ("Call", "one patch, more than no patch".to_owned()),
            "instructions",
            Some(if arch == "s390" { 6.0 } else { 3.0 }),
            |run| Ok(call(run.last(&label)?)? - call(run.last(&unpatched)?)?),
        )?;
        for &tasks in &matrix.exceptions {
            let label = label::call_blocked(tasks);
            let target = Some(1.0);
            let row = self.compare(
                label.clone(),
                (
                    "Call",
                    format!("in a transition, {} in its way", counted(tasks)),
                ),
                "instructions",
                target,
                |run| call(run.last(&label)?),
            )?;
            row.limit = target;
        }
        Ok(())
    }

    fn switches(&mut self, matrix: &Matrix) -> Result<()> {
        let smallest = matrix.threads.iter().copied().min().unwrap_or(0);
        let most = matrix.threads.iter().copied().max().unwrap_or(0);
        for enable in [true, false] {
            let what = if enable { "enabling" } else { "disabling" };
            for &threads in &matrix.threads {
                let label = label::switch(enable, threads);
                let target = match threads {
                    1_000 => 0.9,
                    5_000 => 0.7,
                    _ => 1.0,
                };
                let point = format!("{what}, {} threads", grouped(threads));
                self.compare(
                    label,
                    ("Switch-over", point),
                    "instructions",
                    Some(target),
                    |run| switch(run, enable, threads, SETTLED),
                )?;
            }
            for &threads in &matrix.threads {
                let target = match threads {
                    1_000 => 0.7,
                    5_000 => 0.4,
                    _ => 1.0,
                };
                let point = format!(
                    "{what}, {} threads, until the transition is over",
                    grouped(threads)
                );
                self.compare(
                    format!("switch.{what}.transition.{threads}"),
                    ("Switch-over", point),
                    "instructions",
                    Some(target),
                    |run| switch(run, enable, threads, OVER),
                )?;
            }
            self.compare(
                format!("switch.{what}.each.{most}"),
                ("Switch-over", format!("{what}, each thread")),
                "instructions",
                None,
                |run| {
                    let more = switch(run, enable, most, SETTLED)?
                        - switch(run, enable, smallest, SETTLED)?;
                    Ok(more / (most - smallest).max(1) as f64)
                },
            )?;
        }
        for &threads in matrix.threads.iter().filter(|&&threads| threads > smallest) {
            let label = label::switch(true, threads);
            self.alone(
                format!("switch.stop.{threads}"),
                (
                    "Switch-over",
                    format!("longest stop, {} threads", grouped(threads)),
                ),
                "instructions",
                None,
                |run| Ok(run.last(&label)?.longest_stop as f64),
            )?;
            self.alone(
                format!("switch.stop-part.{threads}"),
                (
                    "Switch-over",
                    format!("longest stop to walk, {} threads", grouped(threads)),
                ),
                "",
                (threads == 5_000).then_some(0.05),
                |run| {
                    let stop = run.last(&label)?.longest_stop as f64;
                    Ok(stop / walk(run, threads, smallest)?)
                },
            )?;
        }
        Ok(())
    }

    /// Many functions at once.
    fn functions(&mut self) -> Result<()> {
        for (enable, what) in [(true, "enabling"), (false, "disabling")] {
            let label = label::functions(enable);
            self.compare(
                label.to_owned(),
                ("Switch-over", format!("{what}, {FUNCTIONS} functions")),
                "instructions",
                Some(0.5),
                |run| Ok(run.last(label)?.between(0, SETTLED)?.kernel as f64),
            )?;
        }
        Ok(())
    }

    /// Transitions that tasks are in the way of.
    fn blocked(&mut self, matrix: &Matrix) -> Result<()> {
        let fewest = matrix.threads.iter().copied().min().unwrap_or(0);
        for &(threads, blocked) in &matrix.stops {
            let label = label::stop(threads, blocked);
            let of = format!(
                "{} threads, {} in the way",
                grouped(threads),
                grouped(blocked)
            );
            let stop = |run: &Run| Ok(run.last(&label)?.longest_stop as f64);
            self.alone(
                label.clone(),
                ("Switch-over", format!("longest stop, {of}")),
                "instructions",
                None,
                stop,
            )?;
            let target = (threads == 5_000).then_some(0.05);
            let row = self.alone(
                format!("blocked.stop-part.{threads}.{blocked}"),
                ("Switch-over", format!("longest stop to walk, {of}")),
                "",
                target,
                // The walk over as many threads that nobody of is in the way: what it takes to
                // unwind stacks, and to try again, is no excuse for a stop.
                |run| Ok(stop(run)? / walk(run, threads, fewest)?),
            )?;
            row.limit = target.or(Some(QUICK_STOP));
        }
        for enable in [true, false] {
            let what = if enable { "enabling" } else { "disabling" };
            for &tasks in &matrix.blocked {
                let label = label::blocked(enable, tasks);
                let of = format!("{what}, {}", counted(tasks));
                let target = if tasks < 2_000 { 0.5 } else { 1.0 };
                let row = self.alone(
                    format!("blocked.{what}.in-effect.{tasks}"),
                    (BLOCKED, format!("{of}, until in effect for all others")),
                    "s",
                    Some(target),
                    |run| {
                        let in_effect = run.times(&label)?.in_effect;
                        Ok(in_effect.context("there is no such moment")? as f64 / 1e9)
                    },
                )?;
                row.limit = Some(if matrix.quick {
                    QUICK_IN_EFFECT
                } else {
                    target
                });
                let target = 0.2;
                let row = self.compare(
                    format!("blocked.{what}.over.{tasks}"),
                    (BLOCKED, format!("{of}, until the transition is over")),
                    "s",
                    Some(target),
                    |run| Ok(run.times(&label)?.over as f64 / 1e9),
                )?;
                row.limit = Some(if matrix.quick { QUICK_OVER } else { target });
            }
        }
        Ok(())
    }

    fn memory(&mut self, matrix: &Matrix) -> Result<()> {
        for &relocations in &matrix.memory {
            let label = |after| label::memory(after, relocations);
            let memory = |run: &Run, after| -> Result<i64> {
                let label = label(after);
                held(run.memory.get(&label).with_context(|| label.clone())?)
            };
            self.compare(
                format!("memory.{relocations}"),
                (
                    "Memory",
                    format!("a patch with {} relocations", grouped(relocations)),
                ),
                "bytes",
                Some(if relocations == 0 { 0.9 } else { 0.8 }),
                |run| Ok((memory(run, true)? - memory(run, false)?) as f64 / MEMORY_PATCHES as f64),
            )?;
        }
        Ok(())
    }

    fn ordinary(&mut self, matrix: &Matrix) -> Result<()> {
        for &size in &matrix.ordinary {
            let (with, without) = (label::ordinary(true, size), label::ordinary(false, size));
            let added =
                |run: &Run| -> Result<f64> { Ok(run.typical(&with)? - run.typical(&without)?) };
            self.alone(
                format!("ordinary.added.{size}"),
                ("Ordinary module", format!("{size} KiB, added")),
                "instructions",
                None,
                added,
            )?;
            self.alone(
                format!("ordinary.part.{size}"),
                ("Ordinary module", format!("{size} KiB, part of its load")),
                "",
                Some(0.005),
                |run| Ok(added(run)? / run.typical(&without)?),
            )?;
        }
        self.alone(
            "insert".to_owned(),
            ("insmod livepatch.ko", "guest time".to_owned()),
            "ms",
            Some(5.0),
            |run| Ok(run.last(label::INSERT)?.ns as f64 / 1e6),
        )?;
        self.alone(
            "insert.instructions".to_owned(),
            ("insmod livepatch.ko", "kernel".to_owned()),
            "instructions",
            None,
            |run| Ok(run.last(label::INSERT)?.total.kernel as f64),
        )?;
        Ok(())
    }
}

/// One call of the function, without the loop around it.
fn call(region: &Region) -> Result<f64> {
    let (empty, calls) = (region.between(0, 1)?, region.between(2, 3)?);
    Ok((calls.kernel as f64 - empty.kernel as f64) / CALLS)
}

/// The section of transitions that tasks are in the way of.
const BLOCKED: &str = "Blocked";

/// Until when a patch has to be in effect for others, in seconds, where it is not measured in full.
const QUICK_IN_EFFECT: f64 = 5.0;

/// The same for the end of its transition, to that of the C core.
const QUICK_OVER: f64 = 0.5;

/// The same for the longest stop, to the walk. With fewer threads, what does not depend on
/// their number is a larger part of it; unwinding those in the way would be more than the walk.
const QUICK_STOP: f64 = 0.2;

/// The point at which a transition is over.
const OVER: u32 = 1;

/// The point at which nothing is left to do.
const SETTLED: u32 = 2;

/// What the kernel executes from the beginning of a transition to the point `end`, less what it
/// would have executed anyway while the busy threads got as far.
fn switch(run: &Run, enable: bool, threads: usize, end: u32) -> Result<f64> {
    let count = run.last(&label::switch(enable, threads))?.between(0, end)?;
    let still = run.last(&label::still(threads))?.total;
    let anyway = match still.user {
        0 => 0.0,
        user => count.user as f64 * still.kernel as f64 / user as f64,
    };
    Ok(count.kernel as f64 - anyway)
}

/// What all threads above the fewest cost until a transition is over.
fn walk(run: &Run, threads: usize, fewest: usize) -> Result<f64> {
    Ok(switch(run, true, threads, OVER)? - switch(run, true, fewest, OVER)?)
}

fn held(memory: &Memory) -> Result<i64> {
    HELD.iter()
        .map(|key| {
            memory
                .get(*key)
                .copied()
                .with_context(|| format!("there is no {key}"))
        })
        .sum()
}

/// So many tasks, in words.
fn counted(tasks: usize) -> String {
    match tasks {
        1 => "1 task".to_owned(),
        _ => format!("{} tasks", grouped(tasks)),
    }
}

/// A number with its digits in groups.
pub fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Count, Times};

    #[test]
    fn groups_digits() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(-123), "-123");
        assert_eq!(grouped(1234567), "1,234,567");
    }

    #[test]
    fn takes_the_run_in_the_middle() {
        let figure = Figure::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((figure.value, figure.min, figure.max), (2.0, 1.0, 3.0));
        assert_eq!(figure.spread(), 1.0);
    }

    /// A matrix of nothing but tasks in the way.
    fn blocked(quick: bool) -> Matrix {
        Matrix {
            quick,
            loads: vec![],
            stacked: vec![],
            threads: vec![10, 5_000],
            blocked: vec![100, 2_000],
            exceptions: vec![1],
            stops: vec![(5_000, 2_000)],
            memory: vec![],
            ordinary: vec![],
        }
    }

    fn blocked_rows(quick: bool, runs: &Runs) -> Result<Vec<Row>> {
        let mut rows = Rows {
            runs,
            rows: Vec::new(),
        };
        rows.blocked(&blocked(quick))?;
        Ok(rows.rows)
    }

    fn row<'a>(rows: &'a [Row], id: &str) -> &'a Row {
        rows.iter().find(|row| row.id == id).unwrap()
    }

    fn timed(in_effect: Option<u64>, over: u64) -> Run {
        let mut run = Run::default();
        for (enable, tasks) in [(true, 100), (true, 2_000), (false, 100), (false, 2_000)] {
            run.times
                .insert(label::blocked(enable, tasks), Times { in_effect, over });
        }
        let mut count = |label, kernel, longest_stop| {
            let at = |kernel| Count { kernel, user: 0 };
            let region = Region {
                total: at(1),
                points: vec![(0, at(0)), (OVER, at(kernel)), (SETTLED, at(kernel))],
                longest_stop,
                ns: 0,
            };
            run.regions.insert(label, vec![region]);
        };
        count(label::still(10), 0, 0);
        count(label::still(5_000), 0, 0);
        count(label::switch(true, 10), 1_000, 10);
        count(label::switch(true, 5_000), 101_000, 4_000);
        count(label::stop(5_000, 2_000), 900_000, 6_000);
        run
    }

    fn runs(ours: Run, peer: Run) -> Runs {
        Runs {
            ours: vec![ours],
            peer: vec![peer],
        }
    }

    #[test]
    fn times_are_in_seconds_and_have_goals() {
        let runs = runs(
            timed(Some(600_000_000), 2_000_000_000),
            timed(None, 16_000_000_000),
        );
        let rows = blocked_rows(false, &runs).unwrap();
        let in_effect = row(&rows, "blocked.enabling.in-effect.100");
        assert_eq!(in_effect.judgement(), Some(0.6));
        assert_eq!((in_effect.target, in_effect.limit), (Some(0.5), Some(0.5)));
        let in_effect = row(&rows, "blocked.disabling.in-effect.2000");
        assert_eq!((in_effect.target, in_effect.limit), (Some(1.0), Some(1.0)));
        let over = row(&rows, "blocked.disabling.over.2000");
        assert_eq!(over.judgement(), Some(0.125));
        assert_eq!((over.target, over.limit), (Some(0.2), Some(0.2)));
    }

    #[test]
    fn a_quick_run_has_the_same_goals_and_wider_limits() {
        let runs = runs(timed(Some(1), 2), timed(None, 3));
        let rows = blocked_rows(true, &runs).unwrap();
        let in_effect = row(&rows, "blocked.enabling.in-effect.100");
        assert_eq!((in_effect.target, in_effect.limit), (Some(0.5), Some(5.0)));
        let over = row(&rows, "blocked.enabling.over.100");
        assert_eq!((over.target, over.limit), (Some(0.2), Some(0.5)));
    }

    #[test]
    fn a_stop_is_compared_with_a_walk_that_nobody_is_in_the_way_of() {
        let runs = runs(timed(Some(1), 2), timed(None, 3));
        let rows = blocked_rows(false, &runs).unwrap();
        let part = row(&rows, "blocked.stop-part.5000.2000");
        assert_eq!(part.judgement(), Some(0.06));
        assert_eq!(part.limit, Some(0.05));
    }

    #[test]
    fn livepatch_has_a_moment_of_effect() {
        let runs = runs(timed(None, 2), timed(None, 3));
        assert!(blocked_rows(false, &runs).is_err());
    }

    #[test]
    fn judges_by_the_ratio() {
        let figure = |value| {
            Some(Figure {
                value,
                min: value,
                max: value,
            })
        };
        let row = Row {
            id: String::new(),
            section: String::new(),
            point: String::new(),
            unit: String::new(),
            ours: figure(6.0),
            peer: figure(10.0),
            judged: Judged::Ratio,
            target: Some(0.7),
            limit: None,
        };
        assert_eq!(row.is_met(), Some(true));
        let worse = Row {
            ours: figure(8.0),
            ..row.clone()
        };
        assert_eq!(worse.is_met(), Some(false));
        assert_eq!(Row { peer: None, ..row }.is_met(), None);
    }
}
