// SPDX-License-Identifier: GPL-2.0

//! What a transition waits for.
//!
//! `livepatch.ko` says it in `/sys/kernel/debug/livepatch/<patch>/blockers`: the tasks that were in
//! the way when it last looked. Mainline's core does not say it, but has the state of each task in
//! `/proc/<pid>/task/<tid>/patch_state`; what such a task is in is then looked for on its stack.
//! Both are for root alone.

use super::patches::{Patch, State};
use super::task::Task;
use super::{numbers, read_if_there, task_name, System};
use std::fs;
use std::io;

/// Where a task is that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this function.
    Function(String),
    /// Elsewhere in the code of this patch's module, which goes.
    Module(String),
    /// The kernel cannot tell with certainty.
    UnreliableStack,
    /// It is not to be seen, as of a task that is running.
    Unknown,
}

/// A task that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// What it is in.
    pub place: Place,
    /// What it does; not where it is gone, or another one has its number.
    pub task: Option<Task>,
}

impl Blocker {
    /// Whether a signal of klp gets it out of the way. The first process takes no such signal.
    pub fn is_interruptible(&self) -> bool {
        self.pid > 1 && self.task.as_ref().is_some_and(Task::is_interruptible)
    }
}

/// All tasks that are in the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blockers {
    /// Those that are known.
    pub tasks: Vec<Blocker>,
    /// How many there are besides.
    pub more: u64,
}

impl Blockers {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.more.saturating_add(self.tasks.len() as u64)
    }
}

/// What the transition of the patch waits for, or why that cannot be told.
pub fn of(system: &System, patch: &Patch) -> Result<Blockers, String> {
    let mut blockers = places(system, patch)?;
    for blocker in &mut blockers.tasks {
        blocker.task = Task::read(system, blocker.pid, &blocker.name);
    }
    Ok(blockers)
}

/// The tasks in the way, and where they are.
fn places(system: &System, patch: &Patch) -> Result<Blockers, String> {
    let file = format!("/sys/kernel/debug/livepatch/{}/blockers", patch.name);
    let file = system.path(file);
    let failed = |error: io::Error| format!("cannot read {}: {error}", file.display());
    match read_if_there(&file) {
        Ok(Some(text)) => return Ok(parse(&text)),
        Err(error) => return Err(failed(error)),
        Ok(None) => {}
    }
    match of_mainline(system, patch) {
        Ok(Some(blockers)) => Ok(blockers),
        Ok(None) => Err(format!(
            "{}: is debugfs mounted?",
            failed(io::ErrorKind::NotFound.into())
        )),
        Err(error) => Err(error),
    }
}

/// Reads what `livepatch.ko` says.
fn parse(text: &str) -> Blockers {
    let mut blockers = Blockers::default();
    for line in text.lines() {
        let more = line
            .strip_prefix("and ")
            .and_then(|rest| rest.strip_suffix(" more"));
        if let Some(more) = more.and_then(|more| more.parse::<u64>().ok()) {
            blockers.more = more;
        } else {
            blockers.tasks.extend(parse_task(line));
        }
    }
    blockers
}

/// `<number> <name> <function>`, or the last one `[<module>]` or in parentheses. The name may have
/// spaces.
fn parse_task(line: &str) -> Option<Blocker> {
    let (pid, rest) = line.split_once(' ')?;
    let (name, place) = match rest.strip_suffix(" (unreliable stack)") {
        Some(name) => (name, Place::UnreliableStack),
        None => {
            let (name, place) = rest.rsplit_once(' ')?;
            let module = place.strip_prefix('[').and_then(|m| m.strip_suffix(']'));
            match module {
                Some(module) => (name, Place::Module(module.to_owned())),
                None => (name, Place::Function(place.to_owned())),
            }
        }
    };
    Some(Blocker {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        place,
        task: None,
    })
}

/// Asks every task; `None` where tasks have no such state.
fn of_mainline(system: &System, patch: &Patch) -> Result<Option<Blockers>, String> {
    let goal = match patch.state {
        State::Enabling => "1",
        State::Disabling => "0",
        State::Enabled | State::Disabled => return Ok(Some(Blockers::default())),
    };
    let mut blockers = Blockers::default();
    let mut supported = false;
    for process in numbers(&system.path("/proc")) {
        for task in numbers(&system.path(format!("/proc/{process}/task"))) {
            let directory = system.path(format!("/proc/{process}/task/{task}"));
            let path = directory.join("patch_state");
            let state = read_if_there(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let Some(state) = state else {
                continue;
            };
            supported = true;
            // -1 is that of all tasks while there is no transition.
            if state == goal || state == "-1" {
                continue;
            }
            let name = fs::read(directory.join("comm")).unwrap_or_default();
            let name = task_name(name.strip_suffix(b"\n").unwrap_or(&name));
            let stack = read_if_there(&directory.join("stack")).ok().flatten();
            blockers.tasks.push(Blocker {
                pid: task,
                name,
                place: place(&stack.unwrap_or_default(), patch),
                task: None,
            });
        }
    }
    Ok(supported.then_some(blockers))
}

/// The innermost function of the stack that holds the patch back: an old one while it is enabled,
/// one of its own while it is disabled.
fn place(stack: &str, patch: &Patch) -> Place {
    let frames = stack.lines().filter_map(frame);
    for (function, module) in frames {
        let blocks = if patch.state == State::Disabling {
            module == patch.name
        } else {
            patch.objects.iter().any(|object| {
                object.name == module && object.functions.iter().any(|f| f.name == function)
            })
        };
        if blocks {
            return Place::Function(function.to_owned());
        }
    }
    Place::Unknown
}

/// Function and object of a line such as `[<0>] name+0x12/0x34 [module]`.
fn frame(line: &str) -> Option<(&str, &str)> {
    let (_, text) = line.split_once("] ")?;
    let (function, rest) = text.split_once('+')?;
    let module = match rest.split_once('[') {
        Some((_, module)) => module.split([' ', ']']).next()?,
        None => "vmlinux",
    };
    Some((function, module))
}

/// Has the tasks leave what they are in that a signal gets out of it; returns their numbers.
pub fn interrupt(system: &System, blockers: &Blockers) -> Vec<i32> {
    let own = std::process::id();
    let mut done = Vec::new();
    for blocker in &blockers.tasks {
        if !blocker.is_interruptible() || u32::try_from(blocker.pid) == Ok(own) {
            continue;
        }
        if system.kernel().interrupt(blocker.pid).is_ok() {
            done.push(blocker.pid);
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::patches::{Function, Object};
    use super::*;

    fn task(pid: i32, name: &str, place: Place) -> Blocker {
        Blocker {
            pid,
            name: name.to_owned(),
            place,
            task: None,
        }
    }

    #[test]
    fn reads_what_livepatch_ko_says() {
        let text = "12 cat klp_test_sleeper\n\
                    7 a b c do_it.isra.0\n\
                    5 (unreliable (unreliable stack)\n\
                    8 [b] [my_patch]\n\
                    nonsense\n\
                    and 17 more\n";
        let blockers = parse(text);
        let function = |name: &str| Place::Function(name.to_owned());
        assert_eq!(
            blockers.tasks,
            [
                task(12, "cat", function("klp_test_sleeper")),
                task(7, "a b c", function("do_it.isra.0")),
                task(5, "(unreliable", Place::UnreliableStack),
                task(8, "[b]", Place::Module("my_patch".to_owned())),
            ]
        );
        assert_eq!(blockers.count(), 21);
        assert_eq!(parse(""), Blockers::default());
    }

    #[test]
    fn finds_the_function_on_a_stack() {
        let function = |name: &str| Function {
            name: name.to_owned(),
            position: Some(1),
        };
        let mut patch = Patch {
            name: "my_patch".to_owned(),
            state: State::Enabling,
            replace: None,
            stack_order: None,
            objects: vec![
                Object {
                    name: "target".to_owned(),
                    patched: None,
                    functions: vec![function("sleeper")],
                },
                Object {
                    name: "vmlinux".to_owned(),
                    patched: None,
                    functions: vec![function("do_it")],
                },
            ],
        };
        let found = |name: &str| Place::Function(name.to_owned());
        let stack = "[<0>] msleep+0x1/0x2\n[<0>] sleeper+0x4/0x90 [target]\n[<0>] do_it+0x1/0x2\n";
        assert_eq!(place(stack, &patch), found("sleeper"));
        // The same name in another object.
        let stack = "[<0>] sleeper+0x4/0x90\n[<0>] do_it+0x1/0x2 [target]\n";
        assert_eq!(place(stack, &patch), Place::Unknown);
        assert_eq!(place("[<0>] do_it+0x1/0x2\n", &patch), found("do_it"));
        patch.state = State::Disabling;
        let stack = "[<0>] sleeper+0x4/0x90 [target]\n[<0>] new+0x4/0x90 [my_patch 0123abcd]\n";
        assert_eq!(place(stack, &patch), found("new"));
        assert_eq!(place("", &patch), Place::Unknown);
        assert_eq!(place("[<0>] 0xffff\nx\n", &patch), Place::Unknown);
    }
}
