# SPDX-License-Identifier: GPL-2.0
"""Edits of the kernel's source that two differs are to understand in the same way, and where they
do not, why."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edit of one source file or several."""

    name: str
    # What is special about it.
    what: str
    # sed -E scripts for each file; none of them may add or remove lines.
    files: dict
    # The files that are compiled, where a header is edited.
    compiled: tuple = ()
    # What is different, by its reason; in the words of oracle.py.
    differences: dict = dataclasses.field(default_factory=dict)
    module: str = "vmlinux"
    # Whether it is compiled with what the kernel writes into its code at boot; klp build leaves
    # that out.
    has_boot_constants: bool = False

    def units(self):
        return self.compiled or tuple(self.files)


def into(function, text):
    """New code at the begin of a function, of which `function` is how its first line begins."""
    text = text.replace("\\", "\\\\").replace("/", "\\/").replace("&", "\\&")
    return f"/^{function}/,/^}}/ s/^\\{{/{{ {text}/"


def within(function, old, new):
    """Other code in a function."""
    new = new.replace("\\", "\\\\").replace("/", "\\/").replace("&", "\\&")
    return f"/^{function}/,/^}}/ s/{old}/{new}/"


def above(function, text):
    """New code before a function."""
    text = text.replace("\\", "\\\\").replace("/", "\\/").replace("&", "\\&")
    return f"/^{function}/ s/^/{text} /"


EDITS = [
    # fs
    Edit(
        "static-function",
        "one line in a static function",
        {"fs/readdir.c": [within(r"static bool filldir64\(", "-EINVAL", "-EPERM")]},
    ),
    Edit(
        "inlined-function",
        "one line in a static function that is inlined",
        {"fs/readdir.c": [within(r"static int verify_dirent_name\(", "-EIO", "-EPERM")]},
    ),
    Edit(
        "string",
        "another string",
        {"fs/proc/meminfo.c": ['s/"MemTotal:       "/"MEMTOTAL:       "/']},
        differences={
            "of static_cpu_has(), objtool leaves out the code that is always replaced": [
                "exported: only klp_diff: boot_cpu_data",
            ],
        },
    ),
    Edit(
        "warning",
        "a warning, a message with a level, and a static variable",
        {
            "fs/proc/cmdline.c": [
                into(
                    r"static int cmdline_proc_show\(",
                    'static unsigned int reads; WARN_ONCE(!m, "no file"); pr_info_once("read\\n"); seq_printf(m, "%u ", ++reads);',
                )
            ]
        },
        differences={
            "the file has not referred to it before, so that objtool takes it for a new or an exported symbol, and it is neither": [
                "exported: only objtool: __SCK__WARN_trap",
                "livepatch: only klp_diff: vmlinux.__SCK__WARN_trap",
            ],
        },
    ),
    Edit(
        "new-key",
        "a new static key, and a new variable for each processor",
        {
            "fs/proc/version.c": [
                into(r"static int version_proc_show\(", "this_cpu_inc(reads); if (static_branch_unlikely(&is_short)) return 0;"),
                above(r"static int version_proc_show\(", "static DEFINE_STATIC_KEY_FALSE(is_short); static DEFINE_PER_CPU(int, reads);"),
            ]
        },
    ),
    Edit(
        "renamed",
        "a static function with another name",
        {"fs/readdir.c": ["s/\\bfilldir64\\b/fill_one/"]},
    ),
    Edit(
        "new-function",
        "a new static function",
        {
            "fs/proc/version.c": [
                into(r"static int version_proc_show\(", "more(m);"),
                above(r"static int version_proc_show\(", "static noinline int more(struct seq_file *m) { seq_puts(m, utsname()->nodename); return 0; }"),
            ]
        },
    ),
    Edit(
        "two-files",
        "two files",
        {
            "fs/proc/uptime.c": ['s/"%lu\\.%02lu %lu\\.%02lu\\\\n"/"up %lu.%02lu %lu.%02lu\\\\n"/'],
            "fs/proc/loadavg.c": ['s/seq_printf\\(m, "/seq_printf(m, "load /'],
        },
    ),
    Edit(
        "header",
        "a macro of a header",
        {"include/linux/sched/loadavg.h": ["s/^#define LOAD_INT\\(x\\) .*/#define LOAD_INT(x) (((x) >> FSHIFT) + 1000)/"]},
        compiled=("fs/proc/loadavg.c",),
    ),
    Edit(
        "part",
        "a function that the compiler has split in parts",
        {"fs/inode.c": [into(r"void iput\(", "if (inode == (void *)1) return;")]},
    ),
    Edit(
        "static-local",
        "static variables of a function",
        {"fs/inode.c": [into(r"ino_t iunique\(", "if (!sb) return 0;")]},
    ),
    Edit(
        "constprop",
        "a function that the compiler has made for one argument",
        {"fs/exec.c": [within(r"static int count\(", "-EFAULT", "-EPERM")]},
    ),
    Edit(
        "isra",
        "a function whose arguments the compiler has changed",
        {"fs/eventpoll.c": [within(r"static __poll_t __ep_eventpoll_poll\(", r"res = EPOLLIN \| EPOLLRDNORM", "res = EPOLLIN")]},
    ),
    Edit(
        "isra-cold",
        "the same with unlikely code, and a message that is printed once",
        {"fs/proc/base.c": [within(r"static int __set_oom_adj\(", "-EACCES", "-EPERM")]},
    ),
    Edit(
        "exported",
        "an exported function, with a warning",
        {"fs/aio.c": [into(r"void kiocb_set_cancel_fn\(", "if (!iocb) return;")]},
    ),
    Edit(
        "switch-table",
        "a table that the compiler makes of a switch",
        {"fs/locks.c": [within(r"static inline int flock_translate_cmd\(", "return F_WRLCK", "return F_RDLCK")]},
        differences={
            "objtool does not compare such tables: its livepatch lacks what has changed": [
                "__mcount_loc: klp_diff 1, objtool 0",
                "changed: only klp_diff: __x64_sys_flock",
                "exported: only klp_diff: __fentry__",
            ],
        },
    ),
    Edit(
        "tracepoint",
        "a function with tracepoints",
        {"fs/locks.c": [into(r"static int posix_lock_inode\(", "if (!inode) return -EINVAL;")]},
    ),
    Edit(
        "open",
        "a system call",
        {"fs/open.c": [into(r"SYSCALL_DEFINE1\(fchdir,", "if (fd == 12345) return -EPERM;")]},
    ),
    Edit(
        "boot-constant",
        "a constant that the kernel writes into the code at boot",
        {"fs/dcache.c": [into(r"struct dentry \*__d_lookup\(", "if (!name) return NULL;")]},
        has_boot_constants=True,
        differences={
            "objtool takes the code as it is, and in a module nothing writes the constant into it; klp build compiles it with a variable": [
                "refused: only klp_diff: runtime-constant: __d_lookup",
            ],
        },
    ),
    # mm
    Edit(
        "unlikely",
        "a global function that is not exported",
        {"mm/oom_kill.c": [into(r"long oom_badness\(", "if (totalpages == 1) return 0;")]},
    ),
    Edit(
        "printed-once",
        "a function with a message that is printed once",
        {"mm/mmap.c": [into(r"bool may_expand_vm\(", "if (npages == 1) return true;")]},
    ),
    Edit(
        "changed-call",
        "a call of another function",
        {"mm/util.c": [within(r"char \*kstrdup\(", r"strlen\(s\)", "strnlen(s, 100)")]},
    ),
    Edit(
        "many-callers",
        "a function that is inlined in many",
        {"mm/util.c": [into(r"static __always_inline char \*__kmemdup_nul\(", "if (len == 12345) return NULL;")]},
    ),
    Edit(
        "per-cpu",
        "a variable of each processor, and a warning in unlikely code",
        {"mm/vmstat.c": [into(r"static int vmstat_refresh\(", "if (__this_cpu_read(vm_event_states.event[0]) == 1) return -EPERM;")]},
    ),
    Edit(
        "init-beside",
        "a function that is inlined in many, of which one runs at boot only",
        {"mm/slub.c": [into(r"void kfree\(", "if (object == (void *)8) return;")]},
        differences={
            "objtool refuses the whole edit; klp_diff leaves this function out, and says so": [
                "refused: only objtool: slab_late_init: can't patch or reference init code/data",
            ],
        },
    ),
    Edit(
        "slab",
        "static keys, tracepoints and static calls",
        {"mm/slub.c": [into(r"void kmem_cache_free\(", "if (x == (void *)8) return;")]},
    ),
    Edit(
        "constprop-cold",
        "a large function, with all of that",
        {"mm/page_alloc.c": [into(r"__alloc_pages_slowpath\(", "if (order == 77) return NULL;")]},
        differences={
            "an inline function is notrace, so that ftrace cannot reach it where the compiler does not inline it: klp_diff replaces what calls it; objtool's livepatch cannot be loaded": [
                ".static_call_sites: klp_diff 2, objtool 1",
                "__bug_table: klp_diff 5, objtool 3",
                "__jump_table: klp_diff 2, objtool 1",
                "__mcount_loc: klp_diff 1, objtool 0",
                "changed: only klp_diff: __alloc_frozen_pages_noprof",
                "exported: only klp_diff: __fentry__",
                "exported: only klp_diff: contig_page_data",
                "livepatch: only klp_diff: vmlinux.__SCK__tp_func_mm_page_alloc",
                "livepatch: only klp_diff: vmlinux.__SCT__tp_func_mm_page_alloc",
                "livepatch: only klp_diff: vmlinux.__tracepoint_mm_page_alloc",
                "livepatch: only klp_diff: vmlinux.gfp_allowed_mask",
                "livepatch: only klp_diff: vmlinux.page_group_by_mobility_disabled",
            ],
        },
    ),
    # kernel
    Edit(
        "system-call",
        "a system call",
        {"kernel/sys.c": [within(r"SYSCALL_DEFINE2\(getpriority", "-EINVAL", "-EPERM")]},
    ),
    Edit(
        "inlined-in-clone",
        "a function in clones of others",
        {"kernel/signal.c": [into(r"do_sigaltstack ?\(", "if (sp == 1) return -EINVAL;")]},
    ),
    Edit(
        "isra-callers",
        "a function of which there is only a clone",
        {"kernel/fork.c": [within(r"static void account_kernel_stack\(", "THREAD_SIZE \\/ 1024", "THREAD_SIZE / 512")]},
    ),
    Edit(
        "cold",
        "a function with a part for unlikely code",
        {"kernel/panic.c": [within(r"void add_taint\(", "Disabling lock debugging", "No lock debugging")]},
    ),
    Edit(
        "static-key",
        "a static key of the kernel",
        {"kernel/rseq.c": [into(r"static int rseq_debug_show\(", "if (!m) return -EINVAL;")]},
    ),
    Edit(
        "static-call",
        "a static call",
        {"arch/x86/events/core.c": [into(r"static int x86_pmu_add\(", "if (!event) return -EINVAL;")]},
    ),
    Edit(
        "position",
        "a function that has namesakes in other files",
        {"kernel/kallsyms.c": [into(r"static int s_show\(", "if (!m) return -EINVAL;")]},
    ),
    Edit(
        "position-of-methods",
        "a function that has namesakes, which is called by a pointer",
        {"fs/namespace.c": [into(r"static int m_show\(", "if (!m) return 0;")]},
    ),
    Edit(
        "clone-of-global",
        "a global function with clones",
        {"kernel/printk/printk.c": [into(r"int devkmsg_emit\(", "if (level == 99) return 0;")]},
    ),
    Edit(
        "work",
        "warnings in unlikely code",
        {"kernel/workqueue.c": [into(r"static void __queue_work\(", 'WARN_ON_ONCE(cpu == 12345);')]},
    ),
    Edit(
        "ratelimited",
        "a message whose rate is limited",
        {"kernel/workqueue.c": [into(r"bool queue_work_on\(", 'if (cpu == 12345) pr_warn_ratelimited("no such cpu\\n");')]},
    ),
    Edit(
        "timer",
        "tracepoints",
        {"kernel/time/timer.c": [into(r"static void call_timer_fn\(", "if (!fn) return;")]},
    ),
    Edit(
        "use-of-position",
        "a new use of a function that has namesakes in other files",
        {"kernel/kallsyms.c": [into(r"static int kallsyms_open\(", "if (!inode) return s_show(NULL, NULL);")]},
    ),
    Edit(
        "weak",
        "a weak function, which nothing overrides",
        {"kernel/resource.c": [into(r"int __weak page_is_ram\(", "if (pfn == 12345) return 0;")]},
    ),
    Edit(
        "overridden",
        "a weak function, in the place of which the kernel has another",
        {"kernel/fork.c": [into(r"int __weak arch_dup_task_struct\(", "if (!src) return -EINVAL;")]},
        differences={
            "the kernel does not have this function, but the one that overrides it: objtool's livepatch replaces that one": [
                "refused: only klp_diff: overridden: arch_dup_task_struct",
            ],
        },
    ),
    Edit(
        "softirq",
        "a variable of each processor, and a table of functions",
        {"kernel/softirq.c": [into(r"void tasklet_kill\(", "if (!t) return;")]},
    ),
    # net
    Edit(
        "socket",
        "a function that calls a variable pointer",
        {"net/socket.c": [into(r"int __sock_create\(", "if (family == 12345) return -EPERM;")]},
    ),
    Edit(
        "socket-pointer",
        "a new use of a function that is not exported",
        {"net/socket.c": [into(r"static long sock_do_ioctl\(", "if (!sock_from_file(sock->file)) return -EPERM;")]},
    ),
    Edit(
        "alternatives",
        "code that depends on the processor",
        {"net/core/skbuff.c": [into(r"struct sk_buff \*skb_clone\(", "if (!skb) return NULL;")]},
    ),
    Edit(
        "device",
        "static keys, per-CPU variables, tracepoints",
        {"net/core/dev.c": [into(r"int __dev_queue_xmit\(", "if (!skb) return -EINVAL;")]},
    ),
    Edit(
        "netlink",
        "one line of a switch",
        {"net/core/rtnetlink.c": [within(r"static void set_operstate\(", "operstate = IF_OPER_UP", "operstate = IF_OPER_UNKNOWN")]},
    ),
    # drivers
    Edit(
        "tty",
        "a function in which others are inlined",
        {"drivers/tty/n_tty.c": [into(r"static void echo_char\(", "if (c == 7) return;")]},
    ),
    Edit(
        "driver-string",
        "an exported function that calls a static one",
        {"drivers/base/core.c": [into(r"const char \*dev_driver_string\(", "if (!dev) return NULL;")]},
    ),
    Edit(
        "dynamic-debug",
        "a new message for debugging",
        {"drivers/base/core.c": [into(r"int device_add\(", 'pr_debug("adding a device\\n");')]},
        differences={
            "the function's other message is switched on and off with the kernel's in objtool's livepatch, with the livepatch's own in ours": [
                "livepatch: only objtool: vmlinux.__UNIQUE_ID_ddebug",
            ],
        },
    ),
    Edit(
        "removed-instruction",
        "instructions that are removed or replaced, by what the processor can do",
        {"drivers/char/random.c": [into(r"void add_interrupt_randomness\(", "if (irq == 12345) return;")]},
        differences={
            "of static_cpu_has(), objtool leaves out the code that is always replaced": [
                "exported: only klp_diff: boot_cpu_data",
            ],
        },
    ),
    Edit(
        "module",
        "a function of a module",
        {"drivers/thermal/intel/x86_pkg_temp_thermal.c": [into(r"static bool pkg_thermal_rate_control\(", "if (!zones) return false;")]},
        module="x86_pkg_temp_thermal",
    ),
    Edit(
        "module-debug",
        "a function of a module with a message for debugging",
        {"drivers/thermal/intel/x86_pkg_temp_thermal.c": [into(r"static int sys_get_curr_temp\(", "if (!temp) return -EINVAL;")]},
        module="x86_pkg_temp_thermal",
        differences={
            "objtool leaves the message for debugging switched off, as its switch is the module's; klp_diff gives the livepatch one of its own": [
                "__jump_table: klp_diff 1, objtool 0",
                "livepatch: only objtool: x86_pkg_temp_thermal.__UNIQUE_ID_ddebug",
            ],
        },
    ),
    # lib
    Edit(
        "library",
        "a function that ftrace cannot reach",
        {"lib/kobject.c": [into(r"int kobject_set_name\(", "if (!kobj) return -EINVAL;")]},
        differences={
            "objtool does not ask whether ftrace can reach a function: its livepatch cannot be loaded": [
                "refused: only klp_diff: no-call-site: kobject_set_name",
            ],
        },
    ),
    Edit(
        "constants",
        "constants of a function",
        {"lib/string_helpers.c": [within(r"int string_get_size\(", r'"Ki"', '"ki"')]},
    ),
    # What neither can do.
    Edit(
        "changed-data",
        "a variable that the kernel has",
        {"kernel/ksysfs.c": ["/define KERNEL_ATTR_RO\\(_name\\)/,/__ATTR_RO/ s/__ATTR_RO\\(_name\\)/__ATTR(_name, 0400, _name##_show, NULL)/"]},
    ),
    Edit(
        "initial-value",
        "the first value of a variable",
        {"drivers/thermal/intel/x86_pkg_temp_thermal.c": ["s/^static int notify_delay_ms = .*/static int notify_delay_ms = 12345;/"]},
        module="x86_pkg_temp_thermal",
    ),
    Edit(
        "init",
        "code that runs at boot only",
        {"fs/proc/cmdline.c": ['s/proc_create_single\\("cmdline"/proc_create_single("CMDLINE"/']},
    ),
]
