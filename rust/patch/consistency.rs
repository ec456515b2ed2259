// SPDX-License-Identifier: GPL-2.0

//! Who is in the way of a transition, and the switch itself.

use super::model::{Function, Patch, PatchId};
use super::redirects::{Redirects, Site};
use super::registry::Registry;
use super::survey::Survey;
use super::transition::Goal;
use crate::format::name::Text;
use crate::sys::param::debug_level;
use crate::sys::sort::{sort, Compare};
use crate::sys::stop::Stopped;
use crate::sys::switch::{self, Flip};
use crate::sys::tasks::{self, Identity, StackBuffer, Task};
use crate::sys::Address;
use core::cmp::Ordering;
use core::ops::Range;
use kernel::prelude::*;

/// How many tasks in the way are remembered; more are counted.
const REMEMBERED: usize = 64;

/// Whether tasks in the way are respected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is switched while a task is in the way.
    Safe,
    /// Everything is switched.
    Forced,
}

/// Why a task is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is in the function with this index among those that are watched.
    InFunction(usize),
    /// Its stack cannot be told with certainty.
    UnreliableStack,
}

/// A task that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocker {
    pub(crate) task: Identity,
    pub(crate) reason: Reason,
}

/// The tasks that were in the way at the last try.
pub(crate) struct Blockers {
    list: KVec<Blocker>,
    /// How many there were, also those that are not in the list.
    pub(crate) count: usize,
}

impl Blockers {
    /// None.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new() -> Result<Self> {
        Ok(Blockers {
            list: KVec::with_capacity(REMEMBERED, GFP_KERNEL)?,
            count: 0,
        })
    }

    fn clear(&mut self) {
        self.list.clear();
        self.count = 0;
    }

    fn add(&mut self, blocker: Blocker) {
        self.count += 1;
        let _ = self.list.push_within_capacity(blocker);
    }

    /// Those that are remembered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Blocker> {
        self.list.iter()
    }
}

/// Code that no task may be in.
#[derive(Clone, Copy)]
struct Watched {
    start: Address,
    end: Address,
    /// The function's index among those of the patch.
    function: usize,
}

impl Compare for Watched {
    fn compare(&self, other: &Self) -> Ordering {
        self.start.cmp(&other.start)
    }
}

/// What changes: code that must not be in use, and redirects with where they lead.
struct Plan<'a> {
    watched: KVVec<Watched>,
    /// From the first that is watched to the last.
    span: Range<Address>,
    flips: KVVec<Flip<'a>>,
}

/// The functions of a patch that are among the redirects, with their indices among all.
fn functions(patch: &Patch) -> impl Iterator<Item = (usize, &Function)> {
    patch
        .objects
        .iter()
        .flat_map(|object| object.functions.iter())
        .enumerate()
        .filter(|(_, function)| function.patched)
}

impl<'a> Plan<'a> {
    fn new(
        redirects: &'a Redirects,
        patch: &Patch,
        goal: Goal,
        active: &impl Fn(PatchId) -> bool,
    ) -> Result<Self> {
        let mut plan = Plan {
            watched: KVVec::new(),
            span: Address(0)..Address(0),
            flips: KVVec::new(),
        };
        let switched = |id| {
            if id == patch.id {
                goal == Goal::Patched
            } else {
                active(id)
            }
        };
        if patch.active == (goal == Goal::Patched) {
            // A transition that was reversed: nothing had changed.
            return Ok(plan);
        }
        for (index, function) in functions(patch) {
            let Some(site) = function.old.and_then(|old| redirects.site(old.address)) else {
                continue;
            };
            plan.watch(site, function, index, goal, active)?;
            let route = site.route(switched);
            if route != site.route(active) {
                // It was made switchable when the transition began.
                let flip = site.flip_to(route).ok_or(EAGAIN)?;
                plan.flips.push(flip, GFP_KERNEL)?;
            }
        }
        plan.make_disjoint();
        Ok(plan)
    }

    fn watch(
        &mut self,
        site: &Site,
        function: &Function,
        index: usize,
        goal: Goal,
        active: &impl Fn(PatchId) -> bool,
    ) -> Result {
        // A task that ftrace has just told where to go on is in neither function yet.
        let entry = site.location.after();
        self.push(entry, 1, index)?;
        let original = (site.original.address, site.original.size);
        let (start, size) = match goal {
            Goal::Patched => match site.top(active).map(|layer| (layer.new, layer.new_size)) {
                Some((Some(new), size)) => (new, size),
                _ => original,
            },
            Goal::Unpatched => match function.new {
                Some(new) => (new, function.new_size),
                None => original,
            },
        };
        self.push(start, size, index)
    }

    fn push(&mut self, start: Address, size: usize, function: usize) -> Result {
        let end = start.offset(size);
        Ok(self.watched.push(
            Watched {
                start,
                end,
                function,
            },
            GFP_KERNEL,
        )?)
    }

    /// Sorts what is watched, and makes one of what overlaps: an entry lies within its function,
    /// and functions may have several names.
    fn make_disjoint(&mut self) {
        sort(&mut self.watched);
        let mut kept: usize = 0;
        for index in 0..self.watched.len() {
            let Some(current) = self.watched.get(index).copied() else {
                break;
            };
            let last = kept
                .checked_sub(1)
                .and_then(|last| self.watched.get_mut(last));
            match last.filter(|last| current.start < last.end) {
                Some(last) => last.end = last.end.max(current.end),
                None => {
                    if let Some(slot) = self.watched.get_mut(kept) {
                        *slot = current;
                    }
                    kept += 1;
                }
            }
        }
        self.watched.truncate(kept);
        if let (Some(first), Some(last)) = (self.watched.first(), self.watched.last()) {
            self.span = first.start..last.end;
        }
    }

    /// The function that `address` is in, if it is one of those that are watched.
    fn function_at(&self, address: Address) -> Option<usize> {
        if !self.span.contains(&address) {
            return None;
        }
        let next = self
            .watched
            .partition_point(|watched| watched.start <= address);
        let last = self.watched.get(next.checked_sub(1)?)?;
        (address < last.end).then_some(last.function)
    }

    /// Whether a word of a stack may be an address in a function that is watched.
    fn is_wanted(&self, word: usize) -> bool {
        self.function_at(Address(word)).is_some()
    }

    /// Why a task is in the way, if it is.
    fn look_at(
        &self,
        stopped: &Stopped<'_>,
        task: &Task<'_>,
        buffer: &mut StackBuffer,
    ) -> Option<Reason> {
        // Most stacks hold no such word, which is told sooner than frame by frame, and also where
        // frames cannot be told with certainty.
        if task.is_free_of(stopped, |word| self.is_wanted(word)) == Some(true) {
            return None;
        }
        match task.stack(buffer) {
            Ok(stack) => stack
                .iter()
                .find_map(|&address| self.function_at(Address(address)))
                .map(Reason::InFunction),
            Err(_) => Some(Reason::UnreliableStack),
        }
    }
}

/// Switches the transition's patch over. Returns whether it is; in [`Mode::Safe`] it is not
/// where tasks are in the way, which are then remembered.
///
/// # Errors
///
/// `ENOMEM`; those of `stop_machine()`.
pub(crate) fn switch(registry: &mut Registry, mode: Mode) -> Result<bool> {
    let Registry {
        patches,
        redirects,
        transition,
        ..
    } = registry;
    let Some(transition) = transition else {
        return Ok(false);
    };
    let Some(patch) = patches.iter().find(|patch| patch.id == transition.patch) else {
        return Ok(false);
    };
    let active = |id| patches.iter().any(|patch| patch.id == id && patch.active);
    let plan = Plan::new(redirects, patch, transition.goal, &active)?;
    let mut buffer = StackBuffer::new()?;
    let blockers = &mut transition.blockers;
    blockers.clear();
    if plan.watched.is_empty() && plan.flips.is_empty() {
        return Ok(true);
    }
    let mut survey = match mode {
        Mode::Safe => Some(Survey::new(|word| plan.is_wanted(word))?),
        Mode::Forced => None,
    };
    let switched = switch::switch(&plan.flips, |stopped| {
        if let Some(survey) = &mut survey {
            let vouched = |task: &Task<'_>| survey.vouches_for(task);
            tasks::for_each(stopped, vouched, |task| {
                if let Some(reason) = plan.look_at(stopped, task, &mut buffer) {
                    blockers.add(Blocker {
                        task: task.identity(),
                        reason,
                    });
                }
            });
        }
        blockers.count == 0
    })?;
    if debug_level() >= 2 {
        transition
            .blockers
            .iter()
            .for_each(|blocker| describe(patch, blocker));
    }
    Ok(switched)
}

fn describe(patch: &Patch, blocker: &Blocker) {
    let (comm, pid) = (Text(blocker.task.comm()), blocker.task.pid);
    match blocker.reason {
        Reason::InFunction(index) => pr_info!(
            "klp_try_switch_task: {}:{} is sleeping on function {}\n",
            comm,
            pid,
            function_name(patch, index)
        ),
        Reason::UnreliableStack => {
            pr_info!(
                "klp_try_switch_task: {}:{} has an unreliable stack\n",
                comm,
                pid
            )
        }
    }
}

/// The name of a function that a blocker is in.
pub(crate) fn function_name(patch: &Patch, index: usize) -> Text<'_> {
    let mut all = patch
        .objects
        .iter()
        .flat_map(|object| object.functions.iter());
    Text(
        all.nth(index)
            .map_or(b"?", |function| function.name.to_bytes()),
    )
}
