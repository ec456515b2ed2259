// SPDX-License-Identifier: GPL-2.0
/*
 * Two functions to be patched that run in every context there is, on every CPU, all the
 * time. They are called in turn, several times, where no other task can come between.
 *
 * /proc/klp_test_contexts	how often all of these calls have run the originals, all the
 *				replacements, and some of each, in a line for each context. A
 *				read makes them in process context.
 *
 * With the parameter storm they are called in NMIs only, which follow each other on the CPUs
 * in turn, and only where CPUs are stopped, which holds off everything else. (Emulated CPUs at
 * times go on with instructions that have been changed, if they run them all the time.)
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>

#include "klp_test_nmi.h"

/* How often each is called, at each interrupt and at each read. */
#define BURST 20
/* An NMI of a storm takes most of the time that is between two. */
#define LONG_BURST 1000
/* How long a storm goes on without the interrupts that begin it. */
#define STORM_NS (20 * NSEC_PER_MSEC)

enum context { PROCESS, SOFTIRQ, HARDIRQ, NMI, CONTEXTS };

static const char *const names[CONTEXTS] = { "process", "softirq", "hardirq", "nmi" };

enum outcome { OLD, NEW, MIXED, OUTCOMES };

static atomic64_t seen[CONTEXTS][OUTCOMES];

static bool storm;
module_param(storm, bool, 0444);

static int zero;

static noinline int klp_test_first(void)
{
	return READ_ONCE(zero);
}

/* Not what the first one does: the compiler would make them one. */
static noinline int klp_test_second(void)
{
	return -READ_ONCE(zero);
}

/* Nothing but an NMI can come in between, and nothing at all in an NMI. */
static void run(enum context context, int burst)
{
	int i, new = 0;

	for (i = 0; i < burst; i++)
		new += klp_test_first() + klp_test_second();
	atomic64_inc(&seen[context][new == 0 ? OLD : new == 2 * burst ? NEW : MIXED]);
}

static void run_undisturbed(enum context context)
{
	unsigned long flags;

	local_irq_save(flags);
	run(context, BURST);
	local_irq_restore(flags);
}

#ifdef CONFIG_X86
/* A storm is one NMI at a time: the other CPUs must get on in the meantime. */
static atomic_t storming;
static atomic64_t storm_end;

/* Whether it has interrupted what runs on a CPU that is stopped. */
static bool in_stopper(struct pt_regs *regs)
{
	return !strncmp(current->comm, "migration/", 10) && !(regs->flags & X86_EFLAGS_IF);
}

static int on_nmi(unsigned int type, struct pt_regs *regs)
{
	if (!is_sent_nmi())
		return NMI_DONE;
	if (!storm) {
		run(NMI, BURST);
		return NMI_HANDLED;
	}
	if (in_stopper(regs))
		run(NMI, LONG_BURST);
	if ((s64)ktime_get_mono_fast_ns() < atomic64_read(&storm_end))
		send_nmi();
	else
		atomic_set(&storming, 0);
	return NMI_HANDLED;
}

static void cause_nmi(void)
{
	if (storm) {
		atomic64_set(&storm_end, ktime_get_mono_fast_ns() + STORM_NS);
		if (atomic_xchg(&storming, 1))
			return;
	}
	send_nmi();
}

static int begin_nmi(void)
{
	int ret = begin_nmis();

	if (ret)
		return ret;
	ret = register_nmi_handler(NMI_LOCAL, on_nmi, 0, KBUILD_MODNAME);
	if (ret)
		end_nmis();
	return ret;
}

static void end_nmi(void)
{
	while (atomic_read(&storming))
		msleep(1);
	end_nmis();
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
}
#else
static void cause_nmi(void)
{
}

static int begin_nmi(void)
{
	return 0;
}

static void end_nmi(void)
{
}
#endif

static DEFINE_PER_CPU(struct hrtimer, hard_timer);
static DEFINE_PER_CPU(struct hrtimer, soft_timer);

static enum hrtimer_restart on_hard_timer(struct hrtimer *timer)
{
	if (!storm)
		run(HARDIRQ, BURST);
	cause_nmi();
	hrtimer_forward_now(timer, ms_to_ktime(1));
	return HRTIMER_RESTART;
}

static enum hrtimer_restart on_soft_timer(struct hrtimer *timer)
{
	if (!storm)
		run_undisturbed(SOFTIRQ);
	hrtimer_forward_now(timer, ms_to_ktime(1));
	return HRTIMER_RESTART;
}

static void begin_timers(void *unused)
{
	hrtimer_start(this_cpu_ptr(&hard_timer), ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(this_cpu_ptr(&soft_timer), ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_SOFT);
}

static int contexts_show(struct seq_file *file, void *unused)
{
	int i;

	if (!storm)
		run_undisturbed(PROCESS);
	for (i = 0; i < CONTEXTS; i++)
		seq_printf(file, "%s %lld %lld %lld\n", names[i], atomic64_read(&seen[i][OLD]),
			   atomic64_read(&seen[i][NEW]), atomic64_read(&seen[i][MIXED]));
	return 0;
}

static int __init klp_test_contexts_init(void)
{
	int cpu, error;

	error = begin_nmi();
	if (error)
		return error;
	if (!proc_create_single("klp_test_contexts", 0, NULL, contexts_show)) {
		end_nmi();
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu) {
		hrtimer_setup(per_cpu_ptr(&hard_timer, cpu), on_hard_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_HARD);
		hrtimer_setup(per_cpu_ptr(&soft_timer, cpu), on_soft_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_SOFT);
	}
	on_each_cpu(begin_timers, NULL, 1);
	return 0;
}

static void __exit klp_test_contexts_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		hrtimer_cancel(per_cpu_ptr(&hard_timer, cpu));
		hrtimer_cancel(per_cpu_ptr(&soft_timer, cpu));
	}
	remove_proc_entry("klp_test_contexts", NULL);
	end_nmi();
}

module_init(klp_test_contexts_init);
module_exit(klp_test_contexts_exit);
MODULE_DESCRIPTION("Livepatch tests: functions that run in interrupts");
MODULE_LICENSE("GPL");
