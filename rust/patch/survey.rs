// SPDX-License-Identifier: GPL-2.0

//! Looking at tasks before processors are stopped.
//!
//! Most tasks sleep. What was seen on the stack of one that has not run since still holds when all
//! processors are stopped, so that only the others have to be looked at then.

use super::consistency::Blockers;
use crate::sys::exceptions::Exceptions;
use crate::sys::tasks::{self, Look, Mark, StackBuffer, Task};
use crate::sys::watch::{Reason, Watch};
use core::cmp::min;
use kernel::prelude::*;

/// How many tasks may have come while memory was allocated for those that were counted.
const MARGIN: usize = 64;

/// How far a task is looked for at first, where it is not the next one: about so many may have
/// gone at once.
const REACH: usize = 32;

/// How far it is looked for at most.
const LONGEST_REACH: usize = 1024;

/// What is known of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not in the way.
    Free,
    /// It is.
    InTheWay(Reason),
    /// It ran meanwhile, or runs.
    Unknown,
}

/// What was seen of a task.
struct Seen {
    /// It holds for as long as the task has this mark; one that was running has one that it never
    /// has.
    mark: Mark,
    verdict: Verdict,
}

/// What was seen of all tasks, in their order.
pub(crate) struct Survey {
    seen: KVVec<Seen>,
    /// How many are not known.
    unknown: usize,
    /// The one that comes next, where no task has come or gone.
    next: usize,
    reach: usize,
}

impl Survey {
    /// Looks at all tasks. Those that are in the way are added to `blockers`. `exceptions` are not.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(
        watch: &Watch,
        exceptions: Option<&Exceptions>,
        buffer: &mut StackBuffer,
        blockers: &mut Blockers,
    ) -> Result<Survey> {
        let room = tasks::count().saturating_add(MARGIN);
        let mut seen = KVVec::with_capacity(room, GFP_KERNEL)?;
        let mut unknown: usize = 0;
        tasks::for_each_meanwhile(|task| {
            let entry = if exceptions.is_some_and(|exceptions| exceptions.hold(task)) {
                None
            } else {
                task.mark_if_free_of(watch).map(|mark| Seen {
                    mark,
                    verdict: Verdict::Free,
                })
            };
            let entry = entry.unwrap_or_else(|| look(task, watch, exceptions, buffer));
            match entry.verdict {
                Verdict::Free => {}
                Verdict::InTheWay(reason) => blockers.add(task.identity(), reason),
                Verdict::Unknown => unknown += 1,
            }
            // Who does not fit is unknown later on.
            let _ = seen.push_within_capacity(entry);
        });
        Ok(Survey {
            seen,
            unknown,
            next: 0,
            reach: REACH,
        })
    }

    /// Of how many tasks nothing is known.
    pub(crate) fn unknown(&self) -> usize {
        self.unknown
    }

    /// What is known of a task. If it is something, the task has not run since, nor does it run now,
    /// except for the stoppers. Tasks are asked for in their order.
    #[inline(always)]
    pub(crate) fn verdict(&mut self, task: &Task<'_>) -> Verdict {
        let mark = task.mark();
        match self.seen.get(self.next) {
            Some(seen) if seen.mark == mark => {
                self.next += 1;
                seen.verdict
            }
            _ => self.find(&mark),
        }
    }

    /// Goes on behind this task, where it is known: others may have gone.
    #[cold]
    #[inline(never)]
    fn find(&mut self, mark: &Mark) -> Verdict {
        let end = min(self.next.saturating_add(self.reach), self.seen.len());
        let ahead = self.seen.get(self.next..end).unwrap_or_default();
        let found = ahead
            .iter()
            .enumerate()
            .find(|(_, seen)| seen.mark.is_of_same_task(mark));
        match found {
            Some((distance, seen)) => {
                self.next += distance + 1;
                self.reach = REACH;
                match seen.mark == *mark {
                    true => seen.verdict,
                    false => Verdict::Unknown,
                }
            }
            None => {
                self.reach = min(self.reach * 2, LONGEST_REACH);
                Verdict::Unknown
            }
        }
    }
}

/// A task is looked at more closely.
fn look(
    task: &Task<'_>,
    watch: &Watch,
    exceptions: Option<&Exceptions>,
    buffer: &mut StackBuffer,
) -> Seen {
    let mut entry = Seen {
        mark: task.mark().of_no_time(),
        verdict: Verdict::Unknown,
    };
    if exceptions.is_some_and(|exceptions| exceptions.hold(task)) {
        return entry;
    }
    task.look_meanwhile(watch, buffer, |look, mark| {
        entry = match look {
            Look::Free => Seen {
                mark,
                verdict: Verdict::Free,
            },
            Look::InTheWay(reason) => Seen {
                mark,
                verdict: Verdict::InTheWay(reason),
            },
            Look::Running => Seen {
                mark: mark.of_no_time(),
                verdict: Verdict::Unknown,
            },
        };
    });
    entry
}
