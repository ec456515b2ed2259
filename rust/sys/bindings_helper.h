/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's headers that bindgen translates for rust/sys/bindings.rs. The
 * kernel crate's own bindings have neither ftrace nor the module loader.
 */
#include <linux/debugfs.h>
#include <linux/elf.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kobject.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleloader.h>
#include <linux/notifier.h>
#include <linux/panic.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/stacktrace.h>
#include <linux/static_call.h>
#include <linux/stop_machine.h>
#include <linux/sysfs.h>
#include <linux/task_work.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#ifdef CONFIG_S390
#include <asm/stacktrace.h>
#endif

#include "../../include/linux/livepatch.h"

/* Constants whose definition is an expression that bindgen does not evaluate. */
static const unsigned long LP_MCOUNT_INSN_SIZE = MCOUNT_INSN_SIZE;
static const unsigned int LP_MODULE_NAME_LEN = MODULE_NAME_LEN;
static const gfp_t LP_GFP_ZERO = __GFP_ZERO;
static const unsigned long LP_PAGE_SIZE = PAGE_SIZE;
static const unsigned long LP_VM_NO_GUARD = VM_NO_GUARD;
static const unsigned long LP_THREAD_SIZE = THREAD_SIZE;
#ifndef TOP_OF_KERNEL_STACK_PADDING
#define TOP_OF_KERNEL_STACK_PADDING 0
#endif
/* Where on its stack task_pt_regs() is, in bytes. */
static const unsigned long LP_USER_REGS =
	THREAD_SIZE - TOP_OF_KERNEL_STACK_PADDING - sizeof(struct pt_regs);
#ifdef CONFIG_S390
static const unsigned long LP_FRAME_SIZE = sizeof(struct stack_frame);
static const unsigned long LP_FRAME_RETURN = offsetof(struct stack_frame, gprs[8]);
static const unsigned long LP_FRAME_NEXT = offsetof(struct stack_frame, back_chain);
#endif
static const unsigned int LP_NR_CPUS = NR_CPUS;
static const unsigned int LP_KSYM_NAME_LEN = KSYM_NAME_LEN;
