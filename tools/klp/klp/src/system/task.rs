// SPDX-License-Identifier: GPL-2.0

//! What a task does, as `/proc/<pid>/stat` and `wchan` say it; see `proc_pid_stat(5)`.

use super::{read_if_there, task_name, System};
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

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Whether it runs.
    pub activity: Activity,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
    /// The function of the kernel that it sleeps in, where the kernel tells.
    pub waits_in: Option<String>,
}

impl Task {
    /// The task of this number; `None` where it has ended, and where it has another name by now, as
    /// it is another one then.
    pub fn read(system: &System, pid: i32, name: &str) -> Option<Self> {
        let stat = fs::read(system.path(format!("/proc/{pid}/stat"))).ok()?;
        // The name is in parentheses and may have some of its own.
        let start = stat.iter().position(|&byte| byte == b'(')?;
        let end = stat.windows(2).rposition(|bytes| bytes == b") ")?;
        let found = stat.get(start.saturating_add(1)..end)?;
        // The kernel has escaped backslashes and the ends of lines.
        let found = found.split(|&byte| byte == b'\\').map(task_name);
        if found.collect::<Vec<_>>().join("\\") != name {
            return None;
        }
        let rest = String::from_utf8_lossy(stat.get(end.saturating_add(2)..)?);
        let mut fields = rest.split(' ');
        let activity = Activity::of(fields.next()?)?;
        let flags: u64 = fields.nth(5)?.parse().ok()?;
        let waits_in = read_if_there(&system.path(format!("/proc/{pid}/wchan")));
        // What is hidden reads as 0, as does what is running.
        let waits_in = waits_in.ok().flatten().filter(|name| name != "0");
        Some(Task {
            activity,
            is_kernel_thread: flags & KERNEL_THREAD != 0,
            waits_in: waits_in.filter(|_| activity != Activity::Running),
        })
    }

    /// Whether a signal gets it out of what it is in: a process that runs or sleeps.
    pub fn is_interruptible(&self) -> bool {
        !self.is_kernel_thread && matches!(self.activity, Activity::Running | Activity::Sleeping)
    }
}
