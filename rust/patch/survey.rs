// SPDX-License-Identifier: GPL-2.0

//! Looking at tasks before processors are stopped.
//!
//! Most tasks sleep. What was seen on the stack of one that has not run since still holds when all
//! processors are stopped, so that only the others have to be looked at then.

use crate::sys::tasks::{self, Mark, Task};
use core::cmp::min;
use kernel::prelude::*;

/// How many tasks may have come while memory was allocated for those that were counted.
const MARGIN: usize = 64;

/// How far a task is looked for at first, where it is not the next one: about so many may have
/// gone at once.
const REACH: usize = 32;

/// How far it is looked for at most.
const LONGEST_REACH: usize = 1024;

/// What was seen of all tasks, in their order.
pub(crate) struct Survey {
    /// Their marks; a task that was not free has one that it never has.
    seen: KVVec<Mark>,
    /// The one that comes next, where no task has come or gone.
    next: usize,
    reach: usize,
}

impl Survey {
    /// Looks at all tasks. Those that `wanted` says yes to no word of are free.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(wanted: impl Fn(usize) -> bool) -> Result<Survey> {
        let room = tasks::count().saturating_add(MARGIN);
        let mut seen = KVVec::with_capacity(room, GFP_KERNEL)?;
        tasks::for_each_meanwhile(|task| {
            let free = task.mark_if_free_of(&wanted);
            let mark = free.unwrap_or_else(|| task.mark().of_no_time());
            // Who does not fit is unknown later on.
            let _ = seen.push_within_capacity(mark);
        });
        Ok(Survey {
            seen,
            next: 0,
            reach: REACH,
        })
    }

    /// Whether a task was free and has not run since. If so it does not run now either, except for
    /// the stoppers. Tasks are asked for in their order.
    #[inline(always)]
    pub(crate) fn vouches_for(&mut self, task: &Task<'_>) -> bool {
        let mark = task.mark();
        let vouches = self.seen.get(self.next) == Some(&mark);
        if vouches {
            self.next += 1;
        } else {
            self.find(&mark);
        }
        vouches
    }

    /// Goes on behind this task, where it is known: others may have gone.
    #[cold]
    fn find(&mut self, mark: &Mark) {
        let end = min(self.next.saturating_add(self.reach), self.seen.len());
        let ahead = self.seen.get(self.next..end).unwrap_or_default();
        match ahead.iter().position(|seen| seen.is_of_same_task(mark)) {
            Some(distance) => {
                self.next += distance + 1;
                self.reach = REACH;
            }
            None => self.reach = min(self.reach * 2, LONGEST_REACH),
        }
    }
}
