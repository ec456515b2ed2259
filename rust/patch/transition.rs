// SPDX-License-Identifier: GPL-2.0

//! Transitions: from the request to the moment at which no task is left in what has changed.
//!
//! A kernel without `CONFIG_LIVEPATCH` keeps no state per task. So all tasks are switched at one
//! moment, while all processors are stopped ([`consistency`]). At first that is tried for a moment
//! in which no task is in the way: again and again, for a quarter of a second. After that everything
//! is switched but the tasks in the way. These *exceptions* go on as before, and leave one by one, as
//! each of them gets out of what has changed. User tasks look at themselves when they return to user
//! mode; all of them are looked at again and again; those that do not leave are interrupted.
//!
//! Reversing a transition switches back: what is in effect for the exceptions comes into effect for
//! everybody, but for those who are inside of what goes now.

use super::consistency::{self, Blockers, Mode, Outcome};
use super::kept::Kept;
use super::model::{Patch, PatchId};
use super::redirects::Effect;
use super::registry::{self, Registry};
use super::{enable, replace, retire, settle, state};
use crate::sys::exceptions::Exceptions;
use crate::sys::param::{debug, debug_level, signal_after};
use crate::sys::work;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{delay::fsleep, Delta, Instant, Monotonic};
use kernel::workqueue::{Work, WorkItem};
use kernel::{impl_has_work, new_work};

/// How long it is tried to switch everybody at one moment, in milliseconds.
const TOGETHER: i64 = 240;

/// Half of the time between the first try and the second, in milliseconds; it is doubled at each
/// try that fails, up to a second.
const FIRST_DELAY: i64 = 4;

/// Time between two tries in the long run, in milliseconds.
const LONGEST_DELAY: i64 = 1000;

/// How often it is looked whether the last exception has left, in milliseconds.
const STEP: i64 = 20;

/// At each how many looks those that run at each are looked at with processors stopped.
const LOOKS_RUNNING: u32 = 4;

/// Time between two interruptions, in milliseconds, if `signal_after` is less.
const SIGNALS_APART: i64 = 1000;

/// Where a transition leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The patch takes effect.
    Patched,
    /// It loses its effect.
    Unpatched,
}

impl Goal {
    fn verb(self) -> &'static str {
        match self {
            Goal::Patched => "patching",
            Goal::Unpatched => "unpatching",
        }
    }

    fn reversed(self) -> Goal {
        match self {
            Goal::Patched => Goal::Unpatched,
            Goal::Unpatched => Goal::Patched,
        }
    }
}

/// A transition that is going on.
pub(crate) struct Transition {
    pub(crate) patch: PatchId,
    pub(crate) goal: Goal,
    /// When it was asked for, or reversed.
    begun: Instant<Monotonic>,
    /// How often it was tried to switch everybody.
    tries: u32,
    /// How long to wait before the next try, in milliseconds.
    delay: i64,
    /// Who was in the way at the last try, before the switch.
    pub(crate) blockers: Blockers,
    /// Who was in the way at the switch.
    pub(crate) exceptions: Option<Exceptions>,
    /// For how many exceptions there has to be room at least, as a try has shown.
    pub(crate) wanted: usize,
    /// After how many milliseconds from the beginning exceptions are interrupted next.
    interrupt_at: Option<i64>,
    /// Whether that was said.
    said: bool,
    /// How often exceptions were looked at.
    looks: u32,
    retry: Arc<Retry>,
}

impl Transition {
    /// For how long it has been going on, in milliseconds.
    fn age(&self) -> i64 {
        self.begun.elapsed().as_millis()
    }

    /// Whether the last exception has left.
    fn is_left(&self) -> bool {
        let exceptions = self.exceptions.as_ref();
        exceptions.is_some_and(|exceptions| exceptions.count() == 0)
    }

    /// Interrupts the exceptions, where it is time to. `signal_after` may change meanwhile.
    fn interrupt(&mut self) {
        let (Some(exceptions), Some(at)) = (&self.exceptions, self.interrupt_at) else {
            return;
        };
        let age = self.age();
        if age < at + i64::from(signal_after()) {
            return;
        }
        if !self.said {
            pr_notice!("signaling remaining tasks\n");
            self.said = true;
        }
        exceptions.interrupt();
        // Those who were woken may be elsewhere for a moment only.
        self.delay = FIRST_DELAY;
        let apart = SIGNALS_APART.max(i64::from(signal_after()));
        self.interrupt_at = Some(age + apart - i64::from(signal_after()));
    }
}

/// The work that tries again.
#[pin_data]
struct Retry {
    #[pin]
    work: Work<Retry>,
    id: PatchId,
}

impl_has_work! {
    impl HasWork<Self> for Retry { self.work }
}

impl WorkItem for Retry {
    type Pointer = Arc<Retry>;

    fn run(this: Arc<Retry>) {
        let delay = match &registry::lock().transition {
            Some(transition) if transition.patch == this.id => transition.delay,
            _ => return,
        };
        // In small steps: a transition that ends otherwise must not be waited for.
        let mut slept = 0;
        while slept < delay {
            let step = (delay - slept).min(STEP);
            fsleep(Delta::from_millis(step));
            slept += step;
            match &mut registry::lock().transition {
                Some(transition) if transition.patch == this.id => {
                    // It may have been reversed meanwhile, and is looked at sooner then.
                    if transition.is_left() || slept >= transition.delay {
                        break;
                    }
                    transition.interrupt();
                }
                _ => return,
            }
        }
        let mut registry = registry::lock();
        if registry.in_transition(this.id) {
            attempt(&mut registry);
        }
    }
}

fn transition_patch(registry: &Registry) -> Option<(&Transition, &Patch)> {
    let transition = registry.transition.as_ref()?;
    Some((transition, registry.patch(transition.patch)?))
}

/// Makes a patch the one that is in transition, which was asked for at the time `asked_for`. Nothing
/// is tried before [`go`].
///
/// # Errors
///
/// `EBUSY` while there is another transition; `ENOMEM`.
pub(crate) fn begin(
    registry: &mut Registry,
    id: PatchId,
    goal: Goal,
    asked_for: Instant<Monotonic>,
) -> Result {
    if registry.transition.is_some() {
        return Err(EBUSY);
    }
    let retry = Arc::pin_init(
        pin_init!(Retry { work <- new_work!("livepatch::retry"), id }),
        GFP_KERNEL,
    )?;
    state::begin(registry, id)?;
    registry.transition = Some(Transition {
        patch: id,
        goal,
        begun: asked_for,
        tries: 0,
        delay: FIRST_DELAY,
        blockers: Blockers::new(),
        exceptions: None,
        wanted: 0,
        interrupt_at: None,
        said: false,
        looks: 1,
        retry,
    });
    registry.redirects.set_in_effect(goal.reversed().effect());
    set_changing(registry, id, true);
    if let Some(patch) = registry.patch(id) {
        debug!(
            "'{}': initializing {} transition\n",
            patch.display_name(),
            goal.verb()
        );
        patch.show_transition(true);
    }
    Ok(())
}

/// Starts the transition that was begun, or reversed, and tries for the first time. `enabled` is
/// what the patch is from now on.
pub(crate) fn go(registry: &mut Registry, enabled: bool) {
    let Some((transition, patch)) = transition_patch(registry) else {
        return;
    };
    pr_notice!(
        "'{}': starting {} transition\n",
        patch.display_name(),
        transition.goal.verb()
    );
    let id = patch.id;
    if let Some(patch) = registry.patch_mut(id) {
        patch.set_enabled(enabled);
    }
    attempt(registry);
}

/// Gives up a transition to a patch that could not be enabled, before anything was tried.
pub(crate) fn cancel(registry: &mut Registry) {
    if let Some((_, patch)) = transition_patch(registry) {
        debug!(
            "'{}': canceling patching transition, going to unpatch\n",
            patch.display_name()
        );
    }
    if let Some(transition) = &mut registry.transition {
        transition.goal = Goal::Unpatched;
    }
    complete(registry);
}

/// Does what is next: tries to switch over, or looks who has left since that was done. When nobody
/// is left the transition is complete, and patches that are done with are freed. Otherwise it is
/// done again later.
fn attempt(registry: &mut Registry) {
    let Some(transition) = &registry.transition else {
        return;
    };
    let is_switched = transition.goal.effect() == registry.redirects.in_effect();
    let result = match is_switched {
        true => look(registry),
        false => switch_over(registry),
    };
    match result {
        Ok(true) => finish(registry),
        Ok(false) => try_later(registry),
        Err(error) => {
            pr_warn!(
                "cannot look at tasks ({}), trying again\n",
                error.to_errno()
            );
            try_later(registry);
        }
    }
}

/// Tries to switch over. Returns whether nobody is in the way any more.
fn switch_over(registry: &mut Registry) -> Result<bool> {
    let Some(transition) = &mut registry.transition else {
        return Ok(false);
    };
    // Where there are exceptions, both is in effect already.
    let is_late = transition.tries != 0 && transition.age() >= TOGETHER;
    let mode = match transition.exceptions.is_some() || is_late {
        true => Mode::ButThoseInTheWay,
        false => Mode::Everybody,
    };
    transition.tries = transition.tries.saturating_add(1);
    let outcome = consistency::switch(registry, mode)?;
    let Registry {
        patches,
        redirects,
        transition: Some(transition),
        ..
    } = registry
    else {
        return Ok(false);
    };
    let is_over = match outcome {
        Outcome::Switched(exceptions) => {
            redirects.set_in_effect(transition.goal.effect());
            if let Some(exceptions) = &exceptions {
                exceptions.ask();
                transition.delay = FIRST_DELAY;
                transition.interrupt_at = Some(transition.age());
            }
            transition.exceptions = exceptions;
            transition.exceptions.is_none()
        }
        Outcome::InTheWay => false,
    };
    if debug_level() >= 2 {
        consistency::log_blockers(patches, transition);
    }
    Ok(is_over)
}

/// Looks which exceptions have left. Returns whether all have.
fn look(registry: &mut Registry) -> Result<bool> {
    let Registry {
        patches,
        transition: Some(transition),
        ..
    } = registry
    else {
        return Ok(false);
    };
    let Some(exceptions) = &transition.exceptions else {
        return Ok(true);
    };
    let running = exceptions.look()?;
    if running != 0 && transition.looks % LOOKS_RUNNING == 0 {
        // Nobody else could tell of a thread that runs all the time.
        exceptions.look_while_stopped()?;
    }
    // Those that could not leave when they were asked.
    exceptions.ask();
    let is_over = exceptions.count() == 0;
    transition.looks = transition.looks.wrapping_add(1);
    // It may have been reversed, and back, before it came to a switch.
    transition
        .interrupt_at
        .get_or_insert(transition.begun.elapsed().as_millis());
    if debug_level() >= 2 {
        consistency::log_blockers(patches, transition);
    }
    Ok(is_over)
}

fn try_later(registry: &mut Registry) {
    let Some(transition) = &mut registry.transition else {
        return;
    };
    transition.delay = (transition.delay * 2).min(LONGEST_DELAY);
    transition.interrupt();
    if let Some(queue) = work::queue() {
        // Where it is queued already it runs anyway.
        let _ = queue.enqueue(transition.retry.clone());
    }
}

/// After the switch: completes the transition and frees what is done with.
fn finish(registry: &mut Registry) {
    let Some(id) = registry
        .transition
        .as_ref()
        .map(|transition| transition.patch)
    else {
        return;
    };
    complete(registry);
    let Some(patch) = registry.patch(id) else {
        return;
    };
    if !patch.enabled {
        if let Some(patch) = enable::take(registry, id) {
            retire::later(patch);
        }
    } else if patch.replace {
        replace::retire_replaced(registry, id);
    }
}

/// Does what is left to do when all calls go where they should.
fn complete(registry: &mut Registry) {
    let Some(Transition {
        patch: id,
        goal,
        exceptions,
        ..
    }) = &mut registry.transition
    else {
        return;
    };
    let (id, goal, exceptions) = (*id, *goal, exceptions.take());
    // Nobody is on the other side any more, or nobody cares.
    drop(exceptions);
    let Some(patch) = registry.patch(id) else {
        return;
    };
    debug!(
        "'{}': completing {} transition\n",
        patch.display_name(),
        goal.verb()
    );
    match goal {
        Goal::Patched => {
            set_changing(registry, id, false);
            if registry.patch(id).is_some_and(|patch| patch.replace) {
                replace::unpatch_replaced(registry, id);
            }
        }
        Goal::Unpatched => unpatch_objects(registry, id),
    }
    registry.redirects.set_in_effect(Effect::With);
    let Some(patch) = registry.patch(id) else {
        return;
    };
    for object in patch.objects.iter().filter(|object| object.is_loaded()) {
        match goal {
            Goal::Patched => object.post_patch(),
            Goal::Unpatched => object.post_unpatch(),
        }
    }
    pr_notice!("'{}': {} complete\n", patch.display_name(), goal.verb());
    patch.show_transition(false);
    registry.transition = None;
    state::end();
    settle::later(registry);
}

/// Says of a patch whether it is in transition, of all its functions. When it is not any more, they
/// lead to the same place for whoever calls.
fn set_changing(registry: &mut Registry, id: PatchId, changing: bool) {
    if let Some((patch, redirects)) = registry.patch_and_redirects(id) {
        for object in patch.objects.iter() {
            object.set_changing(redirects, id, changing);
            object.lead(redirects);
        }
    }
}

/// Takes all functions of a patch out of the redirects.
pub(crate) fn unpatch_objects(registry: &mut Registry, id: PatchId) {
    if let Some((patch, redirects)) = registry.patch_and_redirects(id) {
        for object in patch.objects.iter_mut().filter(|object| object.patched) {
            object.unpatch(redirects, id);
        }
    }
}

/// Sees to it that all functions of a patch can be switched at one moment.
fn make_switchable(registry: &mut Registry, id: PatchId) {
    if let Some((patch, redirects)) = registry.patch_and_redirects(id) {
        for object in patch.objects.iter().filter(|object| object.patched) {
            object.make_switchable(redirects);
        }
    }
}

/// Starts to disable a patch.
///
/// # Errors
///
/// `EBUSY` while there is a transition; `ENOMEM`.
pub(crate) fn disable(registry: &mut Registry, id: PatchId) -> Result {
    if registry.transition.is_some() {
        return Err(EBUSY);
    }
    let asked_for = Instant::now();
    begin(registry, id, Goal::Unpatched, asked_for)?;
    make_switchable(registry, id);
    if let Some(patch) = registry.patch(id) {
        for object in patch.objects.iter().filter(|object| object.patched) {
            object.pre_unpatch();
        }
    }
    go(registry, false);
    Ok(())
}

/// Turns the transition round.
fn reverse(registry: &mut Registry) {
    let Some((transition, patch)) = transition_patch(registry) else {
        return;
    };
    let (goal, enabled) = (transition.goal.reversed(), !patch.enabled);
    debug!(
        "'{}': reversing transition from {} to {}\n",
        patch.display_name(),
        transition.goal.verb(),
        goal.verb()
    );
    if let Some(transition) = &mut registry.transition {
        transition.goal = goal;
        transition.begun = Instant::now();
        transition.tries = 0;
        transition.delay = FIRST_DELAY;
        // Nobody who is an exception now has to leave: they are none after the switch.
        transition.interrupt_at = None;
    }
    go(registry, enabled);
}

/// What writing to `enabled` does.
///
/// # Errors
///
/// `EINVAL` where the patch is in that state already, or is disabled for good; `EBUSY` while
/// another one is in transition; `ENOMEM`.
pub(crate) fn set_enabled(registry: &mut Registry, id: PatchId, enabled: bool) -> Result {
    let patch = registry.patch(id).ok_or(EINVAL)?;
    if patch.enabled == enabled {
        return Err(EINVAL);
    }
    if registry.in_transition(id) {
        reverse(registry);
        return Ok(());
    }
    if enabled {
        return Err(EINVAL);
    }
    disable(registry, id)
}

/// What writing to `force` does: switches over whoever is in the way. Functions that are still
/// in use are then kept in memory for good.
///
/// # Errors
///
/// `EINVAL` where the patch is not in transition; those of [`Kept::of`]; `ENOMEM`.
pub(crate) fn force(registry: &mut Registry, id: PatchId) -> Result {
    let transition = registry.transition.as_ref();
    let transition = transition.filter(|transition| transition.patch == id);
    let goal = transition.ok_or(EINVAL)?.goal;
    let replaces = registry.patch(id).is_some_and(|patch| patch.replace);
    let position = registry.position(id).unwrap_or_default();
    // A patch that replaces others takes those before it out of effect.
    let is_left = |at: usize| match goal {
        Goal::Unpatched => at == position,
        Goal::Patched => replaces && at < position,
    };
    let left = registry.patches.iter().enumerate();
    let left = left.filter(|(at, _)| is_left(*at));
    let kept = Kept::of(left.map(|(_, patch)| &**patch))?;
    registry.kept.reserve(&kept)?;
    pr_warn!("forcing remaining tasks to the patched state\n");
    if goal.effect() != registry.redirects.in_effect() {
        consistency::switch(registry, Mode::Forced)?;
        registry
            .redirects
            .set_in_effect(registry.redirects.in_effect().other());
    }
    for (at, patch) in registry.patches.iter_mut().enumerate() {
        patch.forced |= is_left(at);
        patch.enabled_by_force |= goal == Goal::Patched && at == position;
    }
    // Before the transition is over, so that nobody sees a patch gone whose module is not here.
    registry.kept.add(kept);
    finish(registry);
    Ok(())
}
