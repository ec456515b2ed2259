// SPDX-License-Identifier: GPL-2.0

//! Switching over: all functions of a patch at once, and only while no task is in one of those
//! that change.
//!
//! A kernel without `CONFIG_LIVEPATCH` keeps no state per task, so that the switch is global. It
//! happens while all processors are stopped: [`consistency`] looks at every task, and where nobody is in
//! the way all redirects are changed together. Otherwise nothing changes, and it is tried again:
//! soon at first, then every second. After 15 of those the tasks in the way are woken.
//!
//! Until the switch a patch that is being enabled has no effect at all, and one that is being
//! disabled has all of it. Reversing a transition is therefore complete at once.

use super::consistency::{self, Blockers};
use super::model::{Patch, PatchId};
use super::registry::{self, Registry};
use super::{enable, replace, retire, settle, state};
use crate::sys::param::debug;
use crate::sys::{tasks, work};
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{delay::fsleep, Delta};
use kernel::workqueue::{Work, WorkItem};
use kernel::{impl_has_work, new_work};

/// After how many tries, a second apart, tasks in the way are woken.
const SIGNALS_TIMEOUT: u32 = 15;

/// Half of the time between the first try and the second, in milliseconds; it is doubled at each
/// try that fails, up to a second.
const FIRST_DELAY: i64 = 4;

/// Time between two tries in the long run, in milliseconds.
const LONGEST_DELAY: i64 = 1000;

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
    /// Tries that were a second apart.
    tries: u32,
    /// How long to wait before the next try, in milliseconds.
    delay: i64,
    /// Who was in the way at the last try.
    pub(crate) blockers: Blockers,
    retry: Arc<Retry>,
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
            let step = (delay - slept).min(50);
            fsleep(Delta::from_millis(step));
            slept += step;
            if !registry::lock().in_transition(this.id) {
                return;
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

/// Makes a patch the one that is in transition. Nothing is tried before [`go`].
///
/// # Errors
///
/// `EBUSY` while there is another transition; `ENOMEM`.
pub(crate) fn begin(registry: &mut Registry, id: PatchId, goal: Goal) -> Result {
    if registry.transition.is_some() {
        return Err(EBUSY);
    }
    let retry = Arc::pin_init(
        pin_init!(Retry { work <- new_work!("livepatch::retry"), id }),
        GFP_KERNEL,
    )?;
    let blockers = Blockers::new()?;
    state::begin(registry, id)?;
    registry.transition = Some(Transition {
        patch: id,
        goal,
        tries: 0,
        delay: FIRST_DELAY,
        blockers,
        retry,
    });
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

/// Tries to switch over; on success the transition is complete, and patches that are done with
/// are freed. Otherwise it is tried again later.
fn attempt(registry: &mut Registry) {
    match consistency::switch(registry, consistency::Mode::Safe) {
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

fn try_later(registry: &mut Registry) {
    let Some(transition) = &mut registry.transition else {
        return;
    };
    if transition.delay < LONGEST_DELAY {
        transition.delay = (transition.delay * 2).min(LONGEST_DELAY);
    } else {
        if transition.tries != 0 && transition.tries % SIGNALS_TIMEOUT == 0 {
            if transition.tries == SIGNALS_TIMEOUT {
                pr_notice!("signaling remaining tasks\n");
            }
            let blockers = &transition.blockers;
            tasks::notify(|task| blockers.iter().any(|blocker| blocker.task == *task));
        }
        transition.tries += 1;
    }
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
        patch: id, goal, ..
    }) = registry.transition
    else {
        return;
    };
    let Some(patch) = registry.patch_mut(id) else {
        return;
    };
    debug!(
        "'{}': completing {} transition\n",
        patch.display_name(),
        goal.verb()
    );
    patch.active = goal == Goal::Patched;
    match goal {
        Goal::Patched if patch.replace => replace::unpatch_replaced(registry, id),
        Goal::Patched => {}
        Goal::Unpatched => unpatch_objects(registry, id),
    }
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

/// Takes all functions of a patch out of the redirects.
pub(crate) fn unpatch_objects(registry: &mut Registry, id: PatchId) {
    if let Some((patch, redirects)) = registry.patch_and_redirects(id) {
        for object in patch.objects.iter_mut().filter(|object| object.patched) {
            object.unpatch(redirects, id);
        }
    }
}

/// Sees to it that all functions of a patch can be switched at one moment.
fn make_switchable(registry: &mut Registry, id: PatchId) -> Result {
    if let Some((patch, redirects)) = registry.patch_and_redirects(id) {
        for object in patch.objects.iter().filter(|object| object.patched) {
            object.make_switchable(redirects)?;
        }
    }
    Ok(())
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
    make_switchable(registry, id)
        .and_then(|()| begin(registry, id, Goal::Unpatched))
        .inspect_err(|_| settle::later(registry))?;
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
        transition.tries = 0;
        transition.delay = FIRST_DELAY;
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
/// `EINVAL` where the patch is not in transition; `ENOMEM`.
pub(crate) fn force(registry: &mut Registry, id: PatchId) -> Result {
    if !registry.in_transition(id) {
        return Err(EINVAL);
    }
    pr_warn!("forcing remaining tasks to the patched state\n");
    consistency::switch(registry, consistency::Mode::Forced)?;
    let goal = registry
        .transition
        .as_ref()
        .map(|transition| transition.goal);
    match goal {
        Some(Goal::Unpatched) => {
            if let Some(patch) = registry.patch_mut(id) {
                patch.forced = true;
            }
        }
        Some(Goal::Patched) if registry.patch(id).is_some_and(|patch| patch.replace) => {
            for patch in registry.patches.iter_mut().filter(|patch| patch.id != id) {
                patch.forced = true;
            }
        }
        _ => {}
    }
    finish(registry);
    Ok(())
}
