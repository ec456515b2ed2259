// SPDX-License-Identifier: GPL-2.0
/*
 * Two functions to be patched that run in every context there is, on every CPU, all the
 * time. Each time one is called right after the other, where no other task can come between.
 *
 * /proc/klp_test_contexts	how often both have been the original, both the replacement,
 *				and one of each, in a line for each context. A read runs them
 *				in process context.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#ifdef CONFIG_X86
#include <asm/apic.h>
#include <asm/nmi.h>
#endif

/* How often at each interrupt, and at each read. */
#define BURST 20

enum context { PROCESS, SOFTIRQ, HARDIRQ, NMI, CONTEXTS };

static const char *const names[CONTEXTS] = { "process", "softirq", "hardirq", "nmi" };

/* By how many of the two were the replacement. */
static atomic64_t seen[CONTEXTS][3];

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

static void run(enum context context)
{
	int i;

	for (i = 0; i < BURST; i++)
		atomic64_inc(&seen[context][klp_test_first() + klp_test_second()]);
}

static void run_undisturbed(enum context context)
{
	unsigned long flags;

	local_irq_save(flags);
	run(context);
	local_irq_restore(flags);
}

#ifdef CONFIG_X86
static DEFINE_PER_CPU(atomic_t, nmi_sent);

static int on_nmi(unsigned int type, struct pt_regs *regs)
{
	if (!atomic_xchg(this_cpu_ptr(&nmi_sent), 0))
		return NMI_DONE;
	run(NMI);
	return NMI_HANDLED;
}

/* To the next CPU: what is interrupted there may be anything. */
static void send_nmi(void)
{
	int cpu = cpumask_next_wrap(smp_processor_id(), cpu_online_mask);

	if (!atomic_xchg(per_cpu_ptr(&nmi_sent, cpu), 1))
		__apic_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}

static int begin_nmi(void)
{
	return register_nmi_handler(NMI_LOCAL, on_nmi, 0, "klp_test_contexts");
}

static void end_nmi(void)
{
	int cpu;

	for_each_online_cpu(cpu)
		while (atomic_read(per_cpu_ptr(&nmi_sent, cpu)))
			msleep(1);
	unregister_nmi_handler(NMI_LOCAL, "klp_test_contexts");
}
#else
static void send_nmi(void)
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
	run(HARDIRQ);
	send_nmi();
	hrtimer_forward_now(timer, ms_to_ktime(1));
	return HRTIMER_RESTART;
}

static enum hrtimer_restart on_soft_timer(struct hrtimer *timer)
{
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

	run_undisturbed(PROCESS);
	for (i = 0; i < CONTEXTS; i++)
		seq_printf(file, "%s %lld %lld %lld\n", names[i], atomic64_read(&seen[i][0]),
			   atomic64_read(&seen[i][2]), atomic64_read(&seen[i][1]));
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
