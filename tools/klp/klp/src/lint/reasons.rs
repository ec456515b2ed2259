// SPDX-License-Identifier: GPL-2.0

//! Why a function cannot be patched, and what could be patched instead.

use super::functions::list;
use crate::knowledge::{Knowledge, Known};
use crate::symbols::Candidate;
use livepatch_format::name::Text;

/// What the functions of system calls begin with, by architecture (`__SYSCALL_DEFINEx()` in
/// `asm/syscall_wrapper.h` of the kernel source).
const SYSCALLS: [&str; 2] = ["__x64_sys_", "__s390x_sys_"];

/// What else the source calls them, the last of which is no prefix: `SYSCALL_DEFINE0(pause)`.
const SYSCALL_NAMES: [&str; 4] = ["__do_sys_", "__se_sys_", "sys_", ""];

/// Functions of the kernel itself that some task is always in. All tasks that sleep are in the
/// first two, the idle tasks in the next two. Then come the main functions of threads of the
/// kernel that never end, and what the switch to a patch itself runs in.
const ALWAYS_RUNNING: [&str; 26] = [
    "__schedule",
    "schedule",
    "cpu_startup_entry",
    "do_idle",
    "devtmpfsd",
    "irq_thread",
    "kauditd_thread",
    "kcompactd",
    "khugepaged",
    "kswapd",
    "kthread",
    "kthread_worker_fn",
    "kthreadd",
    "oom_reaper",
    "rcu_gp_fqs_loop",
    "rcu_gp_kthread",
    "rescuer_thread",
    "ret_from_fork",
    "smpboot_thread_fn",
    "worker_thread",
    "cpu_stopper_thread",
    "multi_cpu_stop",
    "process_one_work",
    "stop_cpus",
    "stop_machine",
    "stop_machine_cpuslocked",
];

/// Whether some task is always in a function of the kernel itself.
pub(super) fn is_always_running(name: &[u8]) -> bool {
    ALWAYS_RUNNING.iter().any(|one| one.as_bytes() == name)
}

/// Why there is no function of that name, as far as it can be told.
pub(super) fn not_found(knowledge: &Knowledge, known: &Known, name: &[u8]) -> String {
    let text = Text(name);
    if let Some(found) = system_call(known, name) {
        return format!(
            "the function of that system call is '{found}', whose only parameter is a \
             'struct pt_regs *'"
        );
    }
    let mut elsewhere = knowledge.all().filter(|other| !other.get(name).is_empty());
    if let Some(other) = elsewhere.next() {
        return format!(
            "'{text}' is in object '{}': name that in struct klp_object",
            other.object
        );
    }
    let similar = known.similar(name);
    let inlined = known.copies_of(&text.to_string());
    let mut reasons = vec![match &inlined {
        Ok(Some(copies)) if !copies.is_empty() => {
            let copies: Vec<_> = copies.iter().cloned().collect();
            return format!("it is inlined everywhere: patch {} instead", list(&copies));
        }
        Ok(Some(_)) => "no function of that name is inlined anywhere either".to_owned(),
        Ok(None) | Err(_) => format!(
            "it may be inlined everywhere, which {} does not tell, having no debug information",
            known.symbols.source.display()
        ),
    }];
    reasons.extend(similar);
    reasons.join("\n    ")
}

/// The function of a system call of which `name` is another name.
fn system_call(known: &Known, name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let call = SYSCALL_NAMES
        .iter()
        .find_map(|one| name.strip_prefix(one))?;
    let mut names = SYSCALLS.iter().map(|prefix| format!("{prefix}{call}"));
    names.find(|found| !known.symbols.get(found.as_bytes()).is_empty())
}

/// Why ftrace cannot reach a function.
pub(super) fn not_traced(known: &Known, name: &[u8], found: &Candidate) -> String {
    let text = Text(name);
    if !found.may_be_code() {
        return format!("'{text}' is a variable, no function");
    }
    let with_file = known.with_files(vec![found.clone()]);
    let file = with_file.first().and_then(|found| found.file.as_deref());
    let file = file.map_or("its file".to_owned(), |file| format!("'{file}'"));
    format!(
        "there is no call of ftrace in it: it is notrace, noinstr or assembly, or {file} is compiled \
         without tracing, as are lib/ and others; patch the functions that call it"
    )
}
