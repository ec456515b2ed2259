// SPDX-License-Identifier: GPL-2.0

//! What a run has written: the lines of the measuring program in the guest, and those of what
//! counts instructions in the emulator.

use anyhow::{bail, ensure, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Instructions that were executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// What was counted in one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Region {
    /// From its beginning to its end.
    pub total: Count,
    /// At each point, from the beginning.
    pub points: Vec<(u32, Count)>,
    /// The longest time in which all processors were stopped, in instructions.
    pub longest_stop: u64,
    /// How long it took in the guest's time.
    pub ns: u64,
}

impl Region {
    /// What lies between two points, where each was met once.
    pub fn between(&self, from: u32, to: u32) -> Result<Count> {
        let at = |number| {
            let mut all = self.points.iter().filter(|point| point.0 == number);
            match (all.next(), all.next()) {
                (Some(point), None) => Ok(point.1),
                (None, _) => bail!("point {number} was not met"),
                _ => bail!("point {number} was met more than once"),
            }
        };
        let (from, to) = (at(from)?, at(to)?);
        let less = |to: u64, from: u64| to.checked_sub(from).context("points in the wrong order");
        Ok(Count {
            kernel: less(to.kernel, from.kernel)?,
            user: less(to.user, from.user)?,
        })
    }
}

/// How long a transition took that tasks were in the way of, in nanoseconds of the guest's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Until it was in effect for all others, where there is such a moment.
    pub in_effect: Option<u64>,
    /// Until it was over.
    pub over: u64,
}

/// What allocators had given out, by their own names, in bytes.
pub type Memory = BTreeMap<String, i64>;

/// Everything of one run.
#[derive(Debug, Default)]
pub struct Run {
    /// The regions of each label.
    pub regions: BTreeMap<String, Vec<Region>>,
    /// By label.
    pub memory: BTreeMap<String, Memory>,
    /// By label.
    pub times: BTreeMap<String, Times>,
}

impl Run {
    /// Reads what a run has left in two files.
    pub fn read(output: &Path, counts: &Path) -> Result<Self> {
        let text =
            |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
        Self::parse(&text(output)?, &text(counts)?)
            .with_context(|| format!("{} and {}", output.display(), counts.display()))
    }

    fn parse(output: &str, counts: &str) -> Result<Self> {
        ensure!(
            output.lines().any(|line| line == "the plan is done"),
            "the guest did not come to the end of the plan"
        );
        let mut counted = BTreeMap::new();
        for line in counts.lines().filter(|line| line.starts_with("region ")) {
            let (number, region) = counted_region(line).with_context(|| line.to_owned())?;
            counted.insert(number, region);
        }
        let mut run = Run::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["region", number, label, ns] => {
                    let number: u32 = number.parse().context("a region without a number")?;
                    let mut region = counted
                        .remove(&number)
                        .with_context(|| format!("{label} was not counted"))?;
                    region.ns = value(ns, "ns")?;
                    run.regions
                        .entry(label.to_owned())
                        .or_default()
                        .push(region);
                }
                ["memory", label, ref numbers @ ..] => {
                    let memory = numbers
                        .iter()
                        .map(|number| {
                            let (key, value) = number.split_once('=').context("no number")?;
                            Ok((key.to_owned(), value.parse()?))
                        })
                        .collect::<Result<_>>()
                        .with_context(|| line.to_owned())?;
                    run.memory.insert(label.to_owned(), memory);
                }
                ["time", label, ref numbers @ ..] => {
                    let times = times(numbers).with_context(|| line.to_owned())?;
                    run.times.insert(label.to_owned(), times);
                }
                _ => {}
            }
        }
        ensure!(
            counted.is_empty(),
            "regions were counted that the guest did not name"
        );
        Ok(run)
    }

    /// The regions with that label.
    pub fn all(&self, label: &str) -> Result<&[Region]> {
        self.regions
            .get(label)
            .map(Vec::as_slice)
            .with_context(|| format!("{label} was not measured"))
    }

    /// The last region with that label.
    pub fn last(&self, label: &str) -> Result<&Region> {
        self.all(label)?
            .last()
            .with_context(|| format!("{label} was not measured"))
    }

    /// How long the transition with that label took.
    pub fn times(&self, label: &str) -> Result<Times> {
        let times = self.times.get(label);
        times
            .copied()
            .with_context(|| format!("{label} was not timed"))
    }

    /// What the kernel has executed in regions with that label: the mean of the half in the middle.
    /// What else it does at times makes some of them more, and some of them less.
    pub fn typical(&self, label: &str) -> Result<f64> {
        let mut all: Vec<u64> = self
            .all(label)?
            .iter()
            .map(|region| region.total.kernel)
            .collect();
        all.sort_unstable();
        let left_out = all.len() / 4;
        let middle = &all[left_out..all.len() - left_out];
        ensure!(!middle.is_empty(), "{label} was not measured");
        Ok(middle.iter().sum::<u64>() as f64 / middle.len() as f64)
    }
}

/// `in_effect=N over=N`, or the latter only.
fn times(words: &[&str]) -> Result<Times> {
    match *words {
        [in_effect, over] => Ok(Times {
            in_effect: Some(value(in_effect, "in_effect")?),
            over: value(over, "over")?,
        }),
        [over] => Ok(Times {
            in_effect: None,
            over: value(over, "over")?,
        }),
        _ => bail!("not one or two times"),
    }
}

fn value(word: &str, key: &str) -> Result<u64> {
    word.strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('='))
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("{word} is not {key}=NUMBER"))
}

/// `region NUMBER kernel=N user=N stops=N longest_stop=N points=NUMBER:KERNEL:USER,...`
fn counted_region(line: &str) -> Result<(u32, Region)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, number, kernel, user, _, longest_stop, points] = words[..] else {
        bail!("not seven words");
    };
    let points = points.strip_prefix("points=").context("no points")?;
    let points = points.split(',').filter(|point| !point.is_empty());
    Ok((
        number.parse()?,
        Region {
            total: Count {
                kernel: value(kernel, "kernel")?,
                user: value(user, "user")?,
            },
            points: points
                .map(|point| {
                    let numbers: Vec<&str> = point.split(':').collect();
                    let [number, kernel, user] = numbers[..] else {
                        bail!("not a point: {point}");
                    };
                    let count = Count {
                        kernel: kernel.parse()?,
                        user: user.parse()?,
                    };
                    Ok((number.parse()?, count))
                })
                .collect::<Result<_>>()?,
            longest_stop: value(longest_stop, "longest_stop")?,
            ns: 0,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = "\
region 0 kernel=100 user=7 stops=0 longest_stop=0 points=
region 1 kernel=90 user=7 stops=2 longest_stop=30 points=0:10:1,1:50:6
";
    const OUTPUT: &str = "\
region 0 load.a ns=1000
memory before objects=10 free=20
something else
region 1 load.a ns=2000
time blocked.a in_effect=300 over=4000
time blocked.b over=5000
the plan is done
";

    #[test]
    fn regions_get_their_labels() {
        let run = Run::parse(OUTPUT, COUNTS).unwrap();
        assert_eq!(run.all("load.a").unwrap().len(), 2);
        assert_eq!(run.typical("load.a").unwrap(), 95.0);
        let last = run.last("load.a").unwrap();
        assert_eq!((last.longest_stop, last.ns), (30, 2000));
        assert_eq!(
            last.between(0, 1).unwrap(),
            Count {
                kernel: 40,
                user: 5
            }
        );
        assert_eq!(run.memory["before"]["objects"], 10);
    }

    #[test]
    fn transitions_get_their_times() {
        let run = Run::parse(OUTPUT, COUNTS).unwrap();
        let times = |in_effect, over| Times { in_effect, over };
        assert_eq!(run.times("blocked.a").unwrap(), times(Some(300), 4000));
        assert_eq!(run.times("blocked.b").unwrap(), times(None, 5000));
        assert!(run.times("blocked.c").is_err());
    }

    #[test]
    fn refuses_a_time_that_is_no_number() {
        let output = OUTPUT.replace("over=5000", "over=");
        assert!(Run::parse(&output, COUNTS).is_err());
    }

    #[test]
    fn what_is_far_off_does_not_count() {
        let mut run = Run::default();
        let region = |kernel| Region {
            total: Count { kernel, user: 0 },
            ..Region::default()
        };
        let regions = [10, 1_000, 12, 0, 11].map(region).to_vec();
        run.regions.insert("load.a".to_owned(), regions);
        assert_eq!(run.typical("load.a").unwrap(), 11.0);
        assert!(run.typical("load.b").is_err());
    }

    #[test]
    fn refuses_a_plan_that_was_not_done() {
        let output = OUTPUT.replace("the plan is done", "line 3 of the plan: insmod: error");
        assert!(Run::parse(&output, COUNTS).is_err());
    }

    #[test]
    fn refuses_a_region_that_was_not_counted() {
        let (one, _) = COUNTS.split_once("region 1").unwrap();
        assert!(Run::parse(OUTPUT, one).is_err());
    }

    #[test]
    fn refuses_a_count_without_a_label() {
        let output = OUTPUT.replace("region 1 load.a ns=2000\n", "");
        assert!(Run::parse(&output, COUNTS).is_err());
    }

    #[test]
    fn refuses_a_point_that_was_met_twice() {
        let run = Run::parse(OUTPUT, &COUNTS.replace("0:10:1", "1:10:1")).unwrap();
        assert!(run.last("load.a").unwrap().between(0, 1).is_err());
    }
}
