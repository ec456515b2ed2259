// SPDX-License-Identifier: GPL-2.0

//! What a task does, as `/proc/<pid>/stat` and `wchan` say it; see `proc_pid_stat(5)`.

use super::{numbers, read_if_there, task_name, System};
use std::fs;

/// Flag of a task that is a thread of the kernel (`PF_KTHREAD` of `linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Whether a task runs, and if not, what gets it going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or waits for a processor.
    Running,
    /// It sleeps until something happens, or until a signal comes.
    Sleeping,
    /// It sleeps until something happens.
    Uninterruptible,
    /// It was stopped, by SIGSTOP for example.
    Stopped,
    /// Its tracer, such as a debugger, has stopped it.
    Traced,
}

impl Activity {
    /// Of the letter in `stat`; `None` for a task that has ended.
    fn of(letter: &str) -> Option<Self> {
        match letter {
            "R" => Some(Activity::Running),
            "S" => Some(Activity::Sleeping),
            // I: a thread of the kernel that sleeps so without counting as load. P: one that is parked.
            "D" | "I" | "P" => Some(Activity::Uninterruptible),
            "T" => Some(Activity::Stopped),
            "t" => Some(Activity::Traced),
            _ => None,
        }
    }

    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Activity::Running => "running",
            Activity::Sleeping => "sleeping",
            Activity::Uninterruptible => "uninterruptible",
            Activity::Stopped => "stopped",
            Activity::Traced => "traced",
        }
    }
}

/// Flag of a process that has executed no program since its `fork` (`PF_FORKNOEXEC`).
const HAS_NOT_EXECUTED: u64 = 0x40;

/// Where the kernel has a task wait, after `vfork`, for its child; `_do_fork` until Linux 5.9.
const VFORK: [&str; 3] = ["kernel_clone", "wait_for_vfork_done", "_do_fork"];

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Whether it runs.
    pub activity: Activity,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
    /// The function of the kernel that it sleeps in, where the kernel tells.
    pub waits_in: Option<String>,
    /// The child that it waits for, as the parent of a `vfork`: until that executes a program, or ends.
    pub vfork_child: Option<Process>,
}

/// A line of `/proc/<pid>/stat`.
struct Stat {
    name: String,
    /// What follows the name.
    fields: Vec<String>,
}

impl Stat {
    fn read(system: &System, pid: i32) -> Option<Self> {
        let stat = fs::read(system.path(format!("/proc/{pid}/stat"))).ok()?;
        // The name is in parentheses and may have some of its own.
        let start = stat.iter().position(|&byte| byte == b'(')?;
        let end = stat.windows(2).rposition(|bytes| bytes == b") ")?;
        let name = stat.get(start.saturating_add(1)..end)?;
        // The kernel has escaped backslashes and the ends of lines.
        let name = name.split(|&byte| byte == b'\\').map(task_name);
        let fields = String::from_utf8_lossy(stat.get(end.saturating_add(2)..)?);
        Some(Stat {
            name: name.collect::<Vec<_>>().join("\\"),
            fields: fields.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The field of this number, which is 3 or more.
    fn field(&self, number: usize) -> Option<&str> {
        let index = number.checked_sub(3)?;
        self.fields.get(index).map(String::as_str)
    }

    fn number(&self, number: usize) -> Option<u64> {
        self.field(number)?.parse().ok()
    }
}

impl Task {
    /// The task of this number; `None` where it has ended, and where it has another name by now, as
    /// it is another one then.
    pub fn read(system: &System, pid: i32, name: &str) -> Option<Self> {
        let stat = Stat::read(system, pid).filter(|stat| stat.name == name)?;
        let activity = Activity::of(stat.field(3)?)?;
        let is_kernel_thread = stat.number(9)? & KERNEL_THREAD != 0;
        let waits_in = read_if_there(&system.path(format!("/proc/{pid}/wchan")));
        // What is hidden reads as 0, as does what is running.
        let waits_in = waits_in.ok().flatten().filter(|name| name != "0");
        let waits_in = waits_in.filter(|_| activity != Activity::Running);
        let is_parent = activity == Activity::Uninterruptible
            && !is_kernel_thread
            && waits_in.as_deref().is_some_and(is_vfork);
        Some(Task {
            activity,
            is_kernel_thread,
            waits_in,
            vfork_child: is_parent.then(|| vfork_child(system, pid)).flatten(),
        })
    }

    /// Whether a signal gets it out of what it is in: a process that runs or sleeps.
    pub fn is_interruptible(&self) -> bool {
        !self.is_kernel_thread && matches!(self.activity, Activity::Running | Activity::Sleeping)
    }
}

/// Whether it is a function that a task waits in for the child of its `vfork`. A copy of it that the
/// compiler made has a suffix.
fn is_vfork(function: &str) -> bool {
    let name = function.split('.').next();
    name.is_some_and(|name| VFORK.contains(&name))
}

/// The only child of this task's process that has executed no program; where there are others, it is
/// not known which of them it waits for.
fn vfork_child(system: &System, pid: i32) -> Option<Process> {
    let status = read_if_there(&system.path(format!("/proc/{pid}/status")));
    let status = status.ok().flatten()?;
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:"))?
        .trim();
    let children = numbers(&system.path("/proc")).into_iter();
    let children = children.filter_map(|pid| {
        let stat = Stat::read(system, pid)?;
        let is_child = stat.field(4) == Some(parent)
            && stat.number(9)? & HAS_NOT_EXECUTED != 0
            && stat
                .field(3)
                .is_some_and(|state| Activity::of(state).is_some());
        let name = stat.name;
        is_child.then_some(Process { pid, name })
    });
    match &children.collect::<Vec<_>>()[..] {
        [only] => Some(only.clone()),
        _ => None,
    }
}
