// SPDX-License-Identifier: GPL-2.0

//! What can be done about the tasks that are in the way of a transition.

use crate::system::blockers::{Blocker, Blockers};
use crate::system::patches::{Patch, State};
use crate::system::task::Activity;

/// How many tasks are named in one line.
const NAMED: usize = 8;

/// Where there is more.
const GUIDE: &str =
    "More of each kind: \"When a transition does not end\" in Documentation/livepatch/operating.md of livepatch-rs, also in share/doc/livepatch-rs.";

/// What gets a task out of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A signal that klp sends.
    Signal,
    /// The child of its `vfork`.
    Child,
    /// What it waits for.
    Event,
    /// SIGCONT.
    Continue,
    /// Its tracer.
    Tracer,
    /// What the kernel does with its threads, and the first process.
    Kernel,
}

impl Way {
    const ALL: [Way; 6] = [
        Way::Signal,
        Way::Child,
        Way::Event,
        Way::Continue,
        Way::Tracer,
        Way::Kernel,
    ];

    /// That of a task; `None` where it is not known what that does.
    fn of(blocker: &Blocker) -> Option<Self> {
        let task = blocker.task.as_ref()?;
        Some(match task.activity {
            _ if task.is_kernel_thread => Way::Kernel,
            Activity::Running | Activity::Sleeping if blocker.is_interruptible() => Way::Signal,
            Activity::Running | Activity::Sleeping => Way::Kernel,
            Activity::Uninterruptible if task.vfork_child.is_some() => Way::Child,
            Activity::Uninterruptible => Way::Event,
            Activity::Stopped => Way::Continue,
            Activity::Traced => Way::Tracer,
        })
    }

    /// In a sentence about tasks with these numbers, of which `first` is one.
    fn sentence(self, patch: &str, pids: &str, first: &str) -> String {
        match self {
            Way::Signal => format!("'klp signal {patch}' interrupts {pids}."),
            Way::Child => format!(
                "After vfork, {pids} waits until the child executes a program or ends; 'kill -9' ends the wait, and the parent with it."
            ),
            Way::Event => format!(
                "No signal interrupts {pids}: what it sleeps for has to come (/proc/{first}/stack shows where), and 'kill -9' ends some of these sleeps."
            ),
            Way::Continue => format!("'kill -CONT' lets {pids} go on."),
            Way::Tracer => format!(
                "A debugger has stopped {pids}, and has to let it go on (TracerPid in /proc/{first}/status)."
            ),
            Way::Kernel => format!(
                "No signal of a user reaches {pids}: the kernel itself wakes its threads, and the first process, where they can be woken."
            ),
        }
    }
}

/// What can be done about a patch's transition: a line for each kind of tasks in the way, and how it
/// is reversed; at the end what the last resort costs, where a signal does not reach all.
pub(crate) fn lines(patch: &Patch, blockers: &Blockers) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_last_resort_needed = false;
    for way in Way::ALL {
        let tasks = blockers.tasks.iter();
        let tasks = tasks.filter(|one| Way::of(one) == Some(way));
        let mut pids: Vec<String> = tasks.map(|one| one.pid.to_string()).collect();
        let Some(first) = pids.first().cloned() else {
            continue;
        };
        let more = pids.len().saturating_sub(NAMED);
        pids.truncate(NAMED);
        let mut pids = pids.join(", ");
        if more > 0 {
            pids.push_str(&format!(" and {more} more"));
        }
        lines.push(way.sentence(&patch.name, &pids, &first));
        is_last_resort_needed |= way != Way::Signal;
    }
    let name = &patch.name;
    lines.push(match patch.state {
        State::Disabling => {
            format!(
                "'klp enable {name}' reverses the transition, and the patch is in effect again."
            )
        }
        _ => format!(
            "'klp disable {name}' reverses the transition, and the patch goes out of effect again."
        ),
    });
    if is_last_resort_needed {
        lines.push(format!(
            "'klp force {}' is the last resort: {}",
            patch.name,
            costs_of_force(patch)
        ));
        lines.push(GUIDE.to_owned());
    }
    lines
}

/// What it costs to end the transition of a patch whatever is in the way.
pub(crate) fn costs_of_force(patch: &Patch) -> String {
    let is_disabling = patch.state == State::Disabling;
    let (from, to) = match is_disabling {
        true => ("the patch's", "the original"),
        false => ("the original", "the patch's"),
    };
    let kept = match is_disabling {
        true => "; the patch could be neither unloaded nor loaded again until the next boot",
        false if patch.replace == Some(true) => {
            "; the patches that it replaces could be neither unloaded nor loaded again until the next boot"
        }
        false => "",
    };
    format!(
        "tasks in the way would go on in {from} functions while all others call {to} ones{kept}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::blockers::Place;
    use crate::system::task::{Process, Task};

    fn patch(state: State, replace: bool) -> Patch {
        Patch {
            name: "p".to_owned(),
            state,
            replace: Some(replace),
            stack_order: None,
            objects: Vec::new(),
        }
    }

    fn blocker(pid: i32, activity: Activity, is_kernel_thread: bool) -> Blocker {
        Blocker {
            pid,
            name: "cat".to_owned(),
            place: Place::Unknown,
            task: Some(Task {
                activity,
                is_kernel_thread,
                waits_in: None,
                vfork_child: None,
            }),
        }
    }

    const REVERSAL: &str =
        "'klp disable p' reverses the transition, and the patch goes out of effect again.";

    fn of(tasks: Vec<Blocker>) -> Vec<String> {
        let blockers = Blockers { tasks, more: 0 };
        lines(&patch(State::Enabling, false), &blockers)
    }

    #[test]
    fn tasks_that_a_signal_reaches_need_nothing_else() {
        use Activity::{Running, Sleeping};
        let tasks = vec![blocker(2, Sleeping, false), blocker(3, Running, false)];
        assert_eq!(of(tasks), ["'klp signal p' interrupts 2, 3.", REVERSAL]);
        let tasks = (2..=11).map(|pid| blocker(pid, Sleeping, false)).collect();
        assert_eq!(
            of(tasks),
            [
                "'klp signal p' interrupts 2, 3, 4, 5, 6, 7, 8, 9 and 2 more.",
                REVERSAL
            ]
        );
    }

    #[test]
    fn each_other_kind_has_its_own_way_out_and_the_last_resort() {
        use Activity::{Sleeping, Stopped, Traced, Uninterruptible};
        for (activity, is_kernel_thread, part) in [
            (Uninterruptible, false, "what it sleeps for has to come"),
            (Stopped, false, "'kill -CONT' lets 7 go on"),
            (Traced, false, "A debugger has stopped 7"),
            (Sleeping, true, "No signal of a user reaches 7"),
            (Uninterruptible, true, "No signal of a user reaches 7"),
        ] {
            let lines = of(vec![blocker(7, activity, is_kernel_thread)]);
            let [first, REVERSAL, last, _] =
                lines.iter().map(String::as_str).collect::<Vec<_>>()[..]
            else {
                panic!("{lines:?}");
            };
            assert!(first.contains(part), "{first}");
            assert!(
                last.starts_with("'klp force p' is the last resort: "),
                "{last}"
            );
        }
    }

    #[test]
    fn the_parent_of_a_vfork_waits_for_its_child() {
        let mut parent = blocker(7, Activity::Uninterruptible, false);
        if let Some(task) = &mut parent.task {
            task.vfork_child = Some(Process {
                pid: 8,
                name: "sleep".to_owned(),
            });
        }
        let lines = of(vec![parent, blocker(9, Activity::Uninterruptible, false)]);
        assert!(lines[0].starts_with("After vfork, 7 waits until the child"));
        assert!(lines[1].starts_with("No signal interrupts 9: "));
        assert!(lines[1].contains("/proc/9/stack"));
    }

    #[test]
    fn the_first_process_is_left_to_the_kernel() {
        let lines = of(vec![blocker(1, Activity::Sleeping, false)]);
        assert!(
            lines[0].starts_with("No signal of a user reaches 1:"),
            "{lines:?}"
        );
    }

    #[test]
    fn nothing_else_is_advised_about_what_is_not_known() {
        assert_eq!(of(Vec::new()), [REVERSAL]);
        let mut unknown = blocker(7, Activity::Sleeping, false);
        unknown.task = None;
        assert_eq!(of(vec![unknown]), [REVERSAL]);
        let disabling = lines(&patch(State::Disabling, false), &Blockers::default());
        assert!(disabling[0].starts_with("'klp enable p' reverses the transition"));
    }

    #[test]
    fn force_costs_what_is_taken_out_of_effect() {
        let never = "until the next boot";
        assert!(!costs_of_force(&patch(State::Enabling, false)).contains(never));
        let text = costs_of_force(&patch(State::Enabling, true));
        assert!(text.contains(
            "the patches that it replaces could be neither unloaded nor loaded again until the next boot"
        ));
        let text = costs_of_force(&patch(State::Disabling, true));
        assert!(text.contains("would go on in the patch's functions"));
        assert!(text.ends_with(
            "; the patch could be neither unloaded nor loaded again until the next boot."
        ));
    }
}
