// SPDX-License-Identifier: GPL-2.0

//! Looking at tasks before processors are stopped.
//!
//! Most tasks sleep. What was seen on the stack of one that has not run since still holds when all
//! processors are stopped, so that only the others have to be looked at then.

use crate::sys::exceptions::Exceptions;
use crate::sys::stop::Stopped;
use crate::sys::tasks::{self, Look, Mark, StackBuffer, Task};
use crate::sys::watch::{Reason, Watch};
use core::cmp::{max, min};
use core::slice::Iter;
use kernel::prelude::*;

/// How many tasks may have come while memory was allocated for those that were counted.
const MARGIN: usize = 64;

/// How far a task is looked for at first, where it is not the next one: about so many may have
/// gone at once.
const REACH: usize = 32;

/// How many marks may be looked at in vain beyond that, for each task that was seen.
const IN_VAIN: usize = 4;

/// What was seen of all tasks, in their order.
pub(crate) struct Survey {
    /// Their marks; one that was running has one that it never has.
    seen: KVVec<Mark>,
    /// How many are not known.
    unknown: usize,
    /// When the last one of them was started.
    latest: u64,
}

impl Survey {
    /// Looks at all tasks. `in_the_way` is called for those that are, and must not sleep.
    /// `exceptions` are not.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(
        watch: &Watch,
        exceptions: Option<&Exceptions>,
        buffer: &mut StackBuffer,
        mut in_the_way: impl FnMut(Task<'_>, Reason),
    ) -> Result<Survey> {
        let room = tasks::count().saturating_add(MARGIN);
        let mut seen = KVVec::with_capacity(room, GFP_KERNEL)?;
        let mut unknown: usize = 0;
        let mut latest = 0;
        tasks::for_each_meanwhile(|task| {
            let mark = match task.mark_if_free_of(watch) {
                Some(mark) => mark,
                None if exceptions.is_some_and(|exceptions| exceptions.hold(task)) => {
                    task.mark().of_no_time()
                }
                None => {
                    let (look, mark) = look(task, watch, buffer);
                    match look {
                        Look::Free => mark,
                        Look::InTheWay(reason) => {
                            in_the_way(task, reason);
                            mark
                        }
                        Look::Running => {
                            unknown += 1;
                            mark.of_no_time()
                        }
                    }
                }
            };
            latest = max(latest, mark.started());
            // Who does not fit is unknown later on.
            let _ = seen.push_within_capacity(mark);
        });
        Ok(Survey {
            seen,
            unknown,
            latest,
        })
    }

    /// Of how many tasks nothing is known.
    pub(crate) fn unknown(&self) -> usize {
        self.unknown
    }

    /// Calls `each` for every task of which what was seen may not be so any more. All others have not
    /// run since, nor do they run now, except for the stoppers.
    #[inline(always)]
    pub(crate) fn for_each_unknown(&self, stopped: &Stopped<'_>, mut each: impl FnMut(Task<'_>)) {
        let mut next = Next {
            marks: self.seen.iter(),
            reach: REACH,
            budget: self.seen.len().saturating_mul(IN_VAIN),
            latest: self.latest,
        };
        // Nothing but what is cold may keep anything in memory: all processors wait meanwhile.
        tasks::for_each(stopped, |task| {
            let mut marks = next.marks.clone();
            let mark = marks.next();
            if mark.is_some_and(|mark| task.has_mark(stopped, mark)) {
                next.marks = marks;
                return;
            }
            let (found, is_known) = next.clone().find(task);
            next = found;
            if !is_known {
                each(task);
            }
        });
    }
}

/// What was seen of those tasks that are still to come.
#[derive(Clone)]
struct Next<'a> {
    marks: Iter<'a, Mark>,
    /// How far a task is looked for.
    reach: usize,
    /// How many more marks may be looked at in vain.
    budget: usize,
    /// Who was started later is not among them.
    latest: u64,
}

impl<'a> Next<'a> {
    /// Goes on behind this task, where it is there: others may have gone, however many. Returns whether
    /// it is known.
    #[cold]
    #[inline(never)]
    fn find(self, task: Task<'_>) -> (Next<'a>, bool) {
        let mark = task.mark();
        if mark.started() > self.latest {
            return (self, false);
        }
        let mut marks = self.marks.clone();
        let reach = max(REACH, min(self.reach, self.budget));
        let found = marks
            .by_ref()
            .take(reach)
            .find(|seen| seen.is_of_same_task(&mark));
        let next = match found {
            Some(_) => Next {
                marks,
                reach: REACH,
                ..self
            },
            None => Next {
                reach: self.reach.saturating_mul(2),
                budget: self.budget.saturating_sub(min(reach, self.marks.len())),
                ..self
            },
        };
        (next, found.is_some_and(|seen| *seen == mark))
    }
}

/// A task is looked at more closely.
fn look(task: Task<'_>, watch: &Watch, buffer: &mut StackBuffer) -> (Look, Mark) {
    let mut seen = (Look::Running, task.mark());
    task.look_meanwhile(watch, buffer, |look, mark| seen = (look, mark));
    seen
}
