// SPDX-License-Identifier: GPL-2.0

//! What a transition has come to, and which tasks are in the way of the rest, in words.

use crate::system::blockers::{Blocker, Blockers, Place};
use crate::system::patches::State;
use crate::system::phase::Phase;
use crate::system::task::{Activity, Task};

/// How many tasks are named in one line.
const NAMED: usize = 3;

/// Both in one line.
pub(crate) fn line(
    state: State,
    phase: Option<Phase>,
    blockers: &Result<Blockers, String>,
) -> String {
    let blockers = match blockers {
        Ok(blockers) => blockers,
        Err(error) => {
            let unknown = format!("what is in the way is not known ({error})");
            return with_effect(state, phase, &unknown);
        }
    };
    let tasks: Vec<String> = blockers.tasks.iter().take(NAMED).map(task).collect();
    let mut text = count(state, phase, blockers.count());
    if !tasks.is_empty() {
        text = format!("{text}: {}", tasks.join("; "));
    }
    match blockers.count().saturating_sub(tasks.len() as u64) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

/// For how many tasks the patch is not what it is for the others, or how many keep it from being
/// so for any.
pub(crate) fn count(state: State, phase: Option<Phase>, count: u64) -> String {
    let tasks = tasks(count);
    let text = match (phase, count) {
        (_, 0) => "no task is seen in the way".to_owned(),
        (Some(Phase::Switched), _) => format!("but for {tasks}"),
        (_, 1) => format!("{tasks} is in the way"),
        _ => format!("{tasks} are in the way"),
    };
    with_effect(state, phase, &text)
}

/// So many of them.
pub(crate) fn tasks(count: u64) -> String {
    match count {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    }
}

/// A text that follows what the transition has come to, where that is known.
pub(crate) fn with_effect(state: State, phase: Option<Phase>, text: &str) -> String {
    let disabling = state == State::Disabling;
    let effect = match phase {
        None => return text.to_owned(),
        Some(Phase::Waiting) if disabling => "still in effect",
        Some(Phase::Waiting) => "not in effect yet",
        Some(Phase::Switched) if disabling => "out of effect",
        Some(Phase::Switched) => "in effect",
    };
    format!("{effect}, {text}")
}

/// A task and where it is.
pub(crate) fn task(task: &Blocker) -> String {
    format!("{} {} {}", task.pid, task.name, whereabouts(task))
}

/// Where a task is and what it does, after its name.
pub(crate) fn whereabouts(task: &Blocker) -> String {
    let place = match &task.place {
        Place::Function(name) => format!("in {name}()"),
        Place::Module(name) => format!("in the code of {name}"),
        Place::UnreliableStack => "with a stack that is not reliable".to_owned(),
        Place::Unknown => "not switched yet".to_owned(),
    };
    match &task.task {
        Some(task) => format!("{place} ({})", doing(task, &place)),
        None => place,
    }
}

/// What a task does that is in this place.
fn doing(task: &Task, place: &str) -> String {
    let activity = match task.activity {
        Activity::Running => "running",
        Activity::Sleeping => "sleeping",
        Activity::Uninterruptible => "sleeping uninterruptibly",
        Activity::Stopped => "stopped",
        Activity::Traced => "stopped by its tracer",
    };
    let thread = if task.is_kernel_thread {
        "kernel thread, "
    } else {
        ""
    };
    let sleeps_in = match (&task.waits_in, task.activity) {
        (Some(function), Activity::Sleeping | Activity::Uninterruptible) => {
            Some(format!("in {function}()"))
        }
        _ => None,
    };
    let mut text = format!("{thread}{activity}");
    if let Some(sleeps_in) = sleeps_in.filter(|sleeps_in| sleeps_in != place) {
        text.push_str(&format!(" {sleeps_in}"));
    }
    if let Some(child) = &task.vfork_child {
        text.push_str(&format!(
            ", as after vfork, for its child {} {}",
            child.pid, child.name
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cat(pid: i32) -> Blocker {
        Blocker {
            pid,
            name: "cat".to_owned(),
            place: Place::Function("foo_read".to_owned()),
            task: None,
        }
    }

    fn said(state: State, phase: Option<Phase>, tasks: i32, more: u64) -> String {
        let tasks = (204..).take(tasks as usize).map(cat).collect();
        line(state, phase, &Ok(Blockers { tasks, more }))
    }

    #[test]
    fn each_phase_is_told_in_either_direction() {
        use Phase::{Switched, Waiting};
        use State::{Disabling, Enabling};
        let one = "204 cat in foo_read()";
        let two = "204 cat in foo_read(); 205 cat in foo_read()";
        for (state, phase, singular, plural) in [
            (
                Enabling,
                Some(Switched),
                "in effect, but for 1 task",
                "in effect, but for 2 tasks",
            ),
            (
                Disabling,
                Some(Switched),
                "out of effect, but for 1 task",
                "out of effect, but for 2 tasks",
            ),
            (
                Enabling,
                Some(Waiting),
                "not in effect yet, 1 task is in the way",
                "not in effect yet, 2 tasks are in the way",
            ),
            (
                Disabling,
                Some(Waiting),
                "still in effect, 1 task is in the way",
                "still in effect, 2 tasks are in the way",
            ),
            (
                Enabling,
                None,
                "1 task is in the way",
                "2 tasks are in the way",
            ),
            (
                Disabling,
                None,
                "1 task is in the way",
                "2 tasks are in the way",
            ),
        ] {
            assert_eq!(said(state, phase, 1, 0), format!("{singular}: {one}"));
            assert_eq!(said(state, phase, 2, 0), format!("{plural}: {two}"));
        }
    }

    #[test]
    fn tasks_that_are_not_named_count() {
        let phase = Some(Phase::Switched);
        let said = |tasks, more| said(State::Enabling, phase, tasks, more);
        assert_eq!(
            said(1, 1),
            "in effect, but for 2 tasks: 204 cat in foo_read(); and 1 more"
        );
        assert_eq!(said(0, 1), "in effect, but for 1 task; and 1 more");
        let text = said(7, 1993);
        assert!(
            text.starts_with("in effect, but for 2000 tasks: 204 "),
            "{text}"
        );
        assert!(
            text.ends_with("; 206 cat in foo_read(); and 1997 more"),
            "{text}"
        );
    }

    #[test]
    fn the_effect_is_told_without_tasks() {
        let phase = Some(Phase::Switched);
        assert_eq!(
            said(State::Enabling, phase, 0, 0),
            "in effect, no task is seen in the way"
        );
        assert_eq!(
            said(State::Enabling, None, 0, 0),
            "no task is seen in the way"
        );
        let unknown = Err("why".to_owned());
        assert_eq!(
            line(State::Disabling, phase, &unknown),
            "out of effect, what is in the way is not known (why)"
        );
        assert_eq!(
            line(State::Disabling, None, &unknown),
            "what is in the way is not known (why)"
        );
    }
}
