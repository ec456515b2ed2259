// SPDX-License-Identifier: GPL-2.0

//! The switch itself, and who is in its way.
//!
//! A task is consistent for itself: while it is in a function that changes, calls that it makes of
//! others that change go where they went before. So a task may be switched only while it is in none
//! of them. What is looked for on its stack is a [`Watch`].

use super::model::{Function, Patch, PatchId};
use super::redirects::{Effect, Redirects};
use super::registry::Registry;
use super::survey::Survey;
use super::transition::{Goal, Transition};
use crate::format::name::Text;
use crate::sys::exceptions::{Exceptions, Room};
use crate::sys::module::Module;
use crate::sys::stop::Stopped;
use crate::sys::switch::{self, Switched};
use crate::sys::tasks::{self, Depth, Identity, Look, StackBuffer, Task};
use crate::sys::watch::{Reason, Watch};
use kernel::prelude::*;
use kernel::sync::Arc;

/// For how many tasks more there is room than were seen in the way before processors are stopped.
const MARGIN: usize = 64;

/// What is done about tasks that are in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is switched while there is one.
    Everybody,
    /// Everything is switched but them.
    ButThoseInTheWay,
    /// Everything is switched.
    Forced,
}

/// What has come of a try to switch.
pub(crate) enum Outcome {
    /// It has happened, for all but the exceptions.
    Switched(Option<Exceptions>),
    /// Tasks were in the way, or more than there was room for, or what is to be looked for has
    /// changed meanwhile. The next try is better prepared.
    InTheWay,
}

/// A task that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocker {
    pub(crate) task: Identity,
    pub(crate) reason: Reason,
}

/// The tasks that were in the way at the last try.
pub(crate) struct Blockers {
    list: KVVec<Blocker>,
    /// How many there were, also those that are not in the list.
    pub(crate) count: usize,
}

impl Blockers {
    /// None.
    pub(crate) const fn new() -> Self {
        Blockers {
            list: KVVec::new(),
            count: 0,
        }
    }

    /// Forgets all, and makes room for as many and some more. Those that there is no room for are
    /// only counted.
    fn begin(&mut self) {
        let room = self.count.saturating_add(MARGIN);
        self.list.clear();
        self.count = 0;
        let _ = self.list.reserve(room, GFP_KERNEL);
    }

    /// How many there are to be room for, as seen so far.
    fn wanted(&self) -> usize {
        self.list.capacity()
    }

    /// One more. Does not sleep.
    pub(crate) fn add(&mut self, task: Identity, reason: Reason) {
        self.count += 1;
        let _ = self.list.push_within_capacity(Blocker { task, reason });
    }

    /// Those that are in the list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Blocker> {
        self.list.iter()
    }
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

/// What a task must not be in that is to leave `effect` for the other one.
fn watch(
    patches: &[KBox<Patch>],
    redirects: &Redirects,
    patch: &Patch,
    effect: Effect,
) -> Result<Arc<Watch>> {
    let mut watch = Watch::new();
    for (index, function) in functions(patch) {
        let old = function.old.as_ref();
        let Some(site) = old.and_then(|old| redirects.site(old.address)) else {
            continue;
        };
        // A task that ftrace has just told where to go on is in neither function yet.
        watch.add(site.location.after(), 1, index)?;
        if let Some(trampoline) = &site.trampoline {
            watch.add_range(trampoline, index)?;
        }
        let body = match effect {
            // Also where another patch is on top of it: who is still in there came before.
            Effect::With => function.body().unwrap_or(&site.original),
            Effect::Without => site.body(effect),
        };
        watch.add(body.address, body.size, index)?;
        for part in body.parts.iter().flat_map(|parts| parts.iter()) {
            watch.add_range(part, index)?;
        }
    }
    if !watch.is_empty() {
        let position = patches.iter().position(|other| other.id == patch.id);
        let (earlier, later) = patches.split_at(position.unwrap_or(0));
        // Those whose code is about to go.
        let going = match effect {
            Effect::With => later.get(..1).unwrap_or_default(),
            Effect::Without if patch.replace => earlier,
            Effect::Without => &[],
        };
        for patch in going {
            // A new function may have left for anywhere in it, also by way of its trampolines.
            if let Some(module) = &patch.module {
                let module = module.module();
                for (start, size) in [module.text(), module.trampolines()] {
                    watch.add_text(start, size, patch.id.0 as usize)?;
                }
            }
        }
    }
    watch.seal()?;
    Ok(Arc::new(watch, GFP_KERNEL)?)
}

/// Puts what is watched for those that are exceptions together anew, as a target has come.
///
/// # Errors
///
/// `ENOMEM`
pub(crate) fn watch_anew(registry: &mut Registry) -> Result {
    let Registry {
        patches,
        redirects,
        transition,
        ..
    } = registry;
    let Some(Transition {
        exceptions: Some(exceptions),
        patch,
        ..
    }) = transition
    else {
        return Ok(());
    };
    if let Some(patch) = patches.iter().find(|other| other.id == *patch) {
        let effect = redirects.in_effect().other();
        exceptions.set_watch(watch(patches, redirects, patch, effect)?);
    }
    Ok(())
}

/// A module goes: what was its code is not looked for any more.
pub(crate) fn forget(registry: &mut Registry, module: &Module<'_>) {
    let Some(Transition {
        exceptions: Some(exceptions),
        ..
    }) = &registry.transition
    else {
        return;
    };
    // Where there is no memory, who is later found there leaves later than it could.
    if let Ok(watch) = exceptions.watch().without(module) {
        if let Ok(watch) = Arc::new(watch, GFP_KERNEL) {
            exceptions.set_watch(watch);
        }
    }
}

/// Switches the transition's patch over, to what is not in effect.
///
/// # Errors
///
/// `ENOMEM`; those of `stop_machine()`.
pub(crate) fn switch(registry: &mut Registry, mode: Mode) -> Result<Outcome> {
    let Registry {
        patches,
        redirects,
        transition,
        ..
    } = registry;
    let Some(transition) = transition else {
        return Ok(Outcome::InTheWay);
    };
    let Some(patch) = patches.iter().find(|patch| patch.id == transition.patch) else {
        return Ok(Outcome::InTheWay);
    };
    let in_effect = redirects.in_effect();
    let watch = watch(patches, redirects, patch, in_effect)?;
    if watch.is_empty() {
        return Ok(Outcome::Switched(None));
    }
    if transition.exceptions.is_none() {
        // Nobody is on the other side: it is prepared.
        for function in patch.objects.iter().flat_map(|object| object.patched()) {
            if !redirects.is_switchable(function) {
                return Err(EAGAIN);
            }
            redirects.lead(function);
        }
    }
    if mode == Mode::Forced {
        switch::switch(None, |_, _| true)?;
        return Ok(Outcome::Switched(None));
    }

    let blockers = &mut transition.blockers;
    let earlier = transition.exceptions.as_ref();
    let mut buffer = StackBuffer::new()?;
    blockers.begin();
    let mut room = match mode {
        // As many as were in the way at the last try, and all idle tasks may be in the way.
        Mode::ButThoseInTheWay => {
            let count = transition.wanted.max(blockers.wanted());
            let count = count.saturating_add(tasks::processors());
            Some(Room::new(count, watch.clone())?)
        }
        _ => None,
    };
    let mut count: usize = 0;
    let survey = Survey::new(&watch, earlier, &mut buffer, |task, reason| {
        count += 1;
        blockers.add(task.identity(), reason);
        // It is one, also if it has left until processors are stopped: then it leaves soon.
        if let Some(room) = &mut room {
            room.add(task, reason);
        }
    })?;
    let wanted = count
        .saturating_add(survey.unknown())
        .saturating_add(MARGIN);
    if mode == Mode::Everybody && count != 0 {
        return Ok(Outcome::InTheWay);
    }
    if room.as_ref().is_some_and(|room| room.capacity() < wanted) {
        transition.wanted = wanted;
        return Ok(Outcome::InTheWay);
    }
    let mut late = Late {
        watch: &watch,
        earlier,
        buffer,
        mode,
        count: &mut count,
        blockers,
        are_stoppers_in_the_way: false,
        is_impossible: false,
    };
    let switched = {
        // The survey is freed when processors run again.
        let (late, survey) = (&mut late, &survey);
        switch::switch(room, move |stopped, mut room| {
            late.look_at_stoppers(stopped, room.as_deref());
            if late.is_impossible {
                return false;
            }
            survey.for_each_unknown(stopped, |task| {
                late.look(stopped, task, room.as_deref_mut())
            });
            tasks::for_each_idle(stopped, |task| {
                late.look(stopped, task, room.as_deref_mut())
            });
            let is_in_the_way = room.is_none() && *late.count != 0;
            !late.is_impossible && !is_in_the_way && !late.watch.is_outdated()
        })?
    };
    match switched {
        Switched::Yes(exceptions) => Ok(Outcome::Switched(exceptions)),
        Switched::No => {
            transition.wanted = count.saturating_add(MARGIN);
            Ok(Outcome::InTheWay)
        }
    }
}

/// What is seen while processors are stopped, of tasks that are not known.
struct Late<'a> {
    watch: &'a Watch,
    earlier: Option<&'a Exceptions>,
    buffer: KBox<StackBuffer>,
    mode: Mode,
    /// How many are in the way.
    count: &'a mut usize,
    blockers: &'a mut Blockers,
    /// Whether one of them is where all stoppers are.
    are_stoppers_in_the_way: bool,
    /// Whether there were more than there was room for, or some that cannot be exceptions any more.
    is_impossible: bool,
}

impl Late<'_> {
    /// Looks at the stopper that runs this. The others have been called by the same functions, and
    /// all of them go on there. Those that the survey has seen in the way are exceptions; for the
    /// others it is too late to become one.
    #[cold]
    #[inline(never)]
    fn look_at_stoppers(&mut self, stopped: &Stopped<'_>, room: Option<&Room>) {
        let depth = Depth::Frames(&mut self.buffer);
        let Look::InTheWay(reason) = Task::look_at_current(self.watch, depth) else {
            return;
        };
        self.are_stoppers_in_the_way = true;
        let stopper = Task::current(stopped);
        if !self.is_exception(stopper, room) {
            *self.count += 1;
            self.is_impossible = true;
            self.blockers.add(stopper.identity(), reason);
        }
    }

    /// Whether a task is one already: by this switch, or by the one before, on the other side.
    fn is_exception(&self, task: Task<'_>, room: Option<&Room>) -> bool {
        room.is_some_and(|room| room.holds(task))
            || self.earlier.is_some_and(|earlier| earlier.hold(task))
    }

    /// Looks at a task that is no exception yet: those stay what they are.
    #[cold]
    #[inline(never)]
    fn look(&mut self, stopped: &Stopped<'_>, task: Task<'_>, room: Option<&mut Room>) {
        if self.mode == Mode::Everybody && *self.count != 0 {
            // Nothing is switched at this try.
            return;
        }
        if self.is_exception(task, room.as_deref()) {
            return;
        }
        let depth = match self.mode {
            // An exception too many leaves soon; an idle task could not.
            Mode::ButThoseInTheWay if !task.is_idle() => Depth::Words,
            _ => Depth::Frames(&mut self.buffer),
        };
        let reason = match task.look(stopped, self.watch, depth) {
            Look::InTheWay(reason) => reason,
            Look::Running => {
                self.is_impossible |= self.are_stoppers_in_the_way;
                return;
            }
            Look::Free => return,
        };
        *self.count += 1;
        match room {
            Some(room) => self.is_impossible |= !room.add(task, reason),
            None => self.blockers.add(task.identity(), reason),
        }
    }
}

/// Calls `each` for the tasks that a transition waits for, or those of them that there was room for.
/// Returns how many there are.
pub(crate) fn for_each_blocker(
    transition: &Transition,
    mut each: impl FnMut(Identity, Reason),
) -> usize {
    match &transition.exceptions {
        Some(exceptions) => {
            let mut count = 0;
            exceptions.for_each(|task, reason| {
                count += 1;
                each(task, reason);
            });
            count
        }
        None => {
            let blockers = &transition.blockers;
            blockers
                .iter()
                .for_each(|blocker| each(blocker.task, blocker.reason));
            blockers.count
        }
    }
}

/// Logs the tasks that a transition waits for.
pub(crate) fn log_blockers(patches: &[KBox<Patch>], transition: &Transition) {
    for_each_blocker(transition, |task, reason| {
        let (comm, pid) = (Text(task.comm()), task.pid);
        match reason {
            Reason::UnreliableStack => pr_info!(
                "klp_try_switch_task: {}:{} has an unreliable stack\n",
                comm,
                pid
            ),
            Reason::InFunction(index) => pr_info!(
                "klp_try_switch_task: {}:{} is sleeping on function {}\n",
                comm,
                pid,
                function_name(patches, transition, index)
            ),
            Reason::InText(id) => pr_info!(
                "klp_try_switch_task: {}:{} is sleeping in module {}\n",
                comm,
                pid,
                module_name(patches, id)
            ),
        }
    });
}

/// The name of a function that a task is in.
pub(crate) fn function_name<'a>(
    patches: &'a [KBox<Patch>],
    transition: &Transition,
    index: usize,
) -> Text<'a> {
    let patch = patches.iter().find(|patch| patch.id == transition.patch);
    let mut all = patch
        .into_iter()
        .flat_map(|patch| patch.objects.iter())
        .flat_map(|object| object.functions.iter());
    Text(
        all.nth(index)
            .map_or(b"?", |function| function.name.to_bytes()),
    )
}

/// The name of a patch module whose text a task is in.
pub(crate) fn module_name(patches: &[KBox<Patch>], id: usize) -> Text<'_> {
    let patch = patches.iter().find(|patch| patch.id == PatchId(id as u64));
    Text(patch.map_or(b"?", |patch| patch.name.to_bytes()))
}

impl Goal {
    /// What is to be in effect.
    pub(crate) fn effect(self) -> Effect {
        match self {
            Goal::Patched => Effect::With,
            Goal::Unpatched => Effect::Without,
        }
    }
}
