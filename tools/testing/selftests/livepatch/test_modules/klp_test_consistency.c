// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that belong together: klp_test_outer() calls klp_test_inner_first(),
 * klp_test_inner_second() and klp_test_far(), which is in another module, several times, and
 * rests in between. Each of them has a version, which is 0 here. While an outer function is on
 * the stack, the others must have its version, whatever a transition does meanwhile.
 *
 * They are called by kernel threads and a worker, by timers, irq_work and, on x86_64, NMIs on
 * every CPU, and by whoever reads /proc/klp_test_visit.
 *
 * /proc/klp_test_consistency	a line for each context: how many calls of the outer function
 *				had version 0, how many had another one, and how many saw
 *				more than one version
 */
#include <linux/atomic.h>
#include <linux/cpuhotplug.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "klp_test_nmi.h"
#include "klp_test_visit.h"

static uint longest_rest = 400;
module_param(longest_rest, uint, 0644);
MODULE_PARM_DESC(longest_rest, "How long a task rests at most between two calls, in ms; 0: it does not sleep");

static uint threads = 2;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "How many kernel threads call the functions");

static bool interrupts = true;
module_param(interrupts, bool, 0444);
MODULE_PARM_DESC(interrupts, "Call them in interrupts, too");

/* Who is inside at that moment may see anything afterwards. */
static uint forced;
module_param(forced, uint, 0644);
MODULE_PARM_DESC(forced, "To be incremented before a transition is forced, and after that");

/*
 * The pool that a kretprobe takes its instances from does not stand an NMI within the return of
 * another one: lib/objpool.c, "last" may go backwards, and the next taker never ends.
 */
static bool nmis = true;
module_param(nmis, bool, 0444);
MODULE_PARM_DESC(nmis, "Functions are called in NMIs, too");

enum context { PROCESS, THREAD, WORKER, SOFTIRQ, HARDIRQ, IRQ_WORK, NMI, CONTEXTS };

static const char *const names[CONTEXTS] = {
	"process", "thread", "worker", "softirq", "hardirq", "irq_work", "nmi"
};

enum outcome { OLD, NEW, MIXED, EXCUSED, OUTCOMES };

static atomic64_t seen[CONTEXTS][OUTCOMES];

static int zero;

int klp_test_far(void);

/* What these do differs: the compiler would make them one. */
static noinline int klp_test_inner_first(void)
{
	return READ_ONCE(zero);
}

static noinline int klp_test_inner_second(void)
{
	return -READ_ONCE(zero);
}

#ifdef CONFIG_X86_64
/*
 * A place in the outer function for an optimized kprobe, which has the instructions there
 * executed elsewhere. The first one takes long: tasks are preempted in it, and nothing on their
 * stacks, registers included, tells where they have come from.
 */
static char *field;
static size_t field_size;
static unsigned long tilled_at;

static __always_inline void till(void)
{
	void *at = field;
	size_t count = READ_ONCE(field_size);
	unsigned long here;

	asm volatile("1:	rep stosb\n"
		     "	.byte 0x90, 0x90, 0x90, 0x90, 0x90, 0x90\n"
		     "	leaq 1b(%%rip), %[here]\n"
		     : [here] "=&r"(here), "+D"(at), "+c"(count)
		     : "a"(0)
		     : "memory");
	WRITE_ONCE(tilled_at, here);
}
#else
static __always_inline void till(void)
{
}
#endif

static noinline __noclone int klp_test_outer(struct klp_test_visit *visit)
{
	if (visit->context <= WORKER)
		till();
	visit->tour(visit, 0);
	visit->farewell(visit);
	/* Not to be left with a jump. */
	return visit->version;
}

static struct irq_work irq_work;

/* In jiffies; 0 if nobody is to sleep. */
static unsigned long longest(void)
{
	return msecs_to_jiffies(READ_ONCE(longest_rest));
}

/* Between two calls. The longer ones outlast what a transition waits before it goes on. */
static void rest(struct klp_test_visit *visit)
{
	unsigned long timeout = longest();

	if (visit->context > WORKER)
		return;
	switch (get_random_u32_below(12) + (timeout ? 0 : 5)) {
	case 0:
		schedule_timeout_interruptible(get_random_u32_inclusive(1, timeout));
		break;
	case 1:
		schedule_timeout_uninterruptible(get_random_u32_inclusive(1, timeout));
		break;
	case 2:
		schedule_timeout_idle(get_random_u32_inclusive(1, timeout));
		break;
	case 3:
		schedule_timeout_interruptible(1);
		break;
	case 4:
		schedule_timeout_uninterruptible(1);
		break;
	case 5:
	case 6:
		yield();
		break;
	case 7:
		irq_work_queue(&irq_work);
		break;
	case 8:
		udelay(200);
		break;
	default:
		cond_resched();
		break;
	}
}

static void look(struct klp_test_visit *visit, int version)
{
	if (version != visit->version)
		visit->mixed++;
}

static noinline __noclone void tour(struct klp_test_visit *visit, int version)
{
	int i;

	visit->version = version;
	for (i = 0; i < visit->rounds; i++) {
		look(visit, klp_test_inner_first());
		rest(visit);
		look(visit, klp_test_inner_second());
		rest(visit);
		look(visit, klp_test_far());
	}
}

static void farewell(struct klp_test_visit *visit)
{
	look(visit, klp_test_inner_first());
}

static void run(enum context context, int rounds)
{
	struct klp_test_visit visit = {
		.tour = tour, .farewell = farewell, .context = context, .rounds = rounds,
	};
	uint before = READ_ONCE(forced);
	enum outcome outcome;

	klp_test_outer(&visit);
	if ((before & 1) || before != READ_ONCE(forced))
		outcome = EXCUSED;
	else if (visit.mixed)
		outcome = MIXED;
	else
		outcome = visit.version ? NEW : OLD;
	atomic64_inc(&seen[context][outcome]);
	if (outcome == MIXED)
		pr_err_ratelimited("BUG: %s: %d calls had another version than %d, in %s context\n",
				   current->comm, visit.mixed, visit.version, names[context]);
}

static void visit_for_a_while(enum context context)
{
	int i;

	for (i = get_random_u32_inclusive(1, 3); i && !signal_pending(current); i--)
		run(context, get_random_u32_inclusive(1, 4));
}

static void on_irq_work(struct irq_work *unused)
{
	run(IRQ_WORK, 10);
}

static int run_thread(void *unused)
{
	while (!kthread_should_stop()) {
		visit_for_a_while(THREAD);
		/* It never returns to user mode: it is to be found outside, too. */
		schedule_timeout_interruptible(get_random_u32_inclusive(1, longest() + 1));
	}
	return 0;
}

static void run_worker(struct work_struct *unused);
static DECLARE_DELAYED_WORK(worker, run_worker);

static void run_worker(struct work_struct *unused)
{
	visit_for_a_while(WORKER);
	queue_delayed_work(system_dfl_wq, &worker, longest() / 2 + 1);
}

#ifdef CONFIG_X86
static int on_nmi(unsigned int type, struct pt_regs *regs)
{
	if (!is_sent_nmi())
		return NMI_DONE;
	run(NMI, 10);
	return NMI_HANDLED;
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
	end_nmis();
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
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
	run(HARDIRQ, 10);
	if (nmis)
		send_nmi();
	hrtimer_forward_now(timer, ms_to_ktime(2));
	return HRTIMER_RESTART;
}

static enum hrtimer_restart on_soft_timer(struct hrtimer *timer)
{
	run(SOFTIRQ, 10);
	hrtimer_forward_now(timer, ms_to_ktime(2));
	return HRTIMER_RESTART;
}

/* On a CPU that has come. */
static int begin_timers(unsigned int cpu)
{
	hrtimer_start(this_cpu_ptr(&hard_timer), ms_to_ktime(2), HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(this_cpu_ptr(&soft_timer), ms_to_ktime(2), HRTIMER_MODE_REL_PINNED_SOFT);
	return 0;
}

/* On a CPU that is going. */
static int end_timers(unsigned int cpu)
{
	hrtimer_cancel(per_cpu_ptr(&hard_timer, cpu));
	hrtimer_cancel(per_cpu_ptr(&soft_timer, cpu));
	return 0;
}

static int timers_hotplug;

static int begin_interrupts(void)
{
	int cpu, ret;

	ret = begin_nmi();
	if (ret)
		return ret;
	for_each_possible_cpu(cpu) {
		hrtimer_setup(per_cpu_ptr(&hard_timer, cpu), on_hard_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_HARD);
		hrtimer_setup(per_cpu_ptr(&soft_timer, cpu), on_soft_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_SOFT);
	}
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, KBUILD_MODNAME ":timers", begin_timers,
				end_timers);
	if (ret < 0) {
		end_nmi();
		return ret;
	}
	timers_hotplug = ret;
	return 0;
}

static void end_interrupts(void)
{
	cpuhp_remove_state(timers_hotplug);
	end_nmi();
}

#ifdef CONFIG_X86_64
/* How often it was hit. */
static unsigned long hits;
module_param(hits, ulong, 0444);

static bool probe;
module_param(probe, bool, 0444);
MODULE_PARM_DESC(probe, "Set a kprobe in the outer function, in front of instructions that take long");

static int on_probe(struct kprobe *unused, struct pt_regs *regs)
{
	hits++;
	return 0;
}

static struct kprobe kprobe = { .pre_handler = on_probe };

static int begin_probe(void)
{
	int ret;

	if (!probe)
		return 0;
	field = vzalloc(SZ_4M);
	if (!field)
		return -ENOMEM;
	/* To be told where it is. */
	run(PROCESS, 0);
	kprobe.addr = (kprobe_opcode_t *)tilled_at;
	ret = register_kprobe(&kprobe);
	if (ret)
		vfree(field);
	else
		field_size = SZ_4M;
	return ret;
}

static void end_probe(void)
{
	if (!probe)
		return;
	unregister_kprobe(&kprobe);
	vfree(field);
}
#else
static int begin_probe(void)
{
	return 0;
}

static void end_probe(void)
{
}
#endif

static bool return_probe;
module_param(return_probe, bool, 0444);
MODULE_PARM_DESC(return_probe, "Set a probe on the return to the outer function that takes long");

/*
 * What is to be scheduled meanwhile is when this is over: before the task has returned to where the
 * probe has come from, and when nothing says any more that it is on its way.
 */
static int on_return(struct kretprobe_instance *unused, struct pt_regs *regs)
{
	udelay(500);
	return 0;
}

static struct kretprobe kretprobe = { .handler = on_return, .maxactive = 64 };

static int begin_return_probe(void)
{
	if (!return_probe)
		return 0;
	kretprobe.kp.addr = (kprobe_opcode_t *)tour;
	return register_kretprobe(&kretprobe);
}

static void end_return_probe(void)
{
	if (return_probe)
		unregister_kretprobe(&kretprobe);
}

static int visit_show(struct seq_file *file, void *unused)
{
	visit_for_a_while(PROCESS);
	seq_puts(file, "visited\n");
	return 0;
}

static int consistency_show(struct seq_file *file, void *unused)
{
	int i;

	for (i = 0; i < CONTEXTS; i++)
		seq_printf(file, "%s %lld %lld %lld\n", names[i], atomic64_read(&seen[i][OLD]),
			   atomic64_read(&seen[i][NEW]), atomic64_read(&seen[i][MIXED]));
	return 0;
}

static struct task_struct *tasks[16];

static void end_tasks(void)
{
	int i;

	cancel_delayed_work_sync(&worker);
	for (i = 0; i < ARRAY_SIZE(tasks); i++)
		if (tasks[i])
			kthread_stop(tasks[i]);
	irq_work_sync(&irq_work);
}

static int begin_tasks(void)
{
	int i;

	for (i = 0; i < min_t(uint, threads, ARRAY_SIZE(tasks)); i++) {
		struct task_struct *task = kthread_run(run_thread, NULL, "klp_visit/%d", i);

		if (IS_ERR(task)) {
			end_tasks();
			return PTR_ERR(task);
		}
		tasks[i] = task;
	}
	queue_delayed_work(system_dfl_wq, &worker, 0);
	return 0;
}

static int __init klp_test_consistency_init(void)
{
	int ret;

	irq_work = IRQ_WORK_INIT_HARD(on_irq_work);
	ret = begin_probe();
	if (ret)
		return ret;
	ret = begin_return_probe();
	if (ret)
		goto no_return_probe;
	if (interrupts)
		ret = begin_interrupts();
	if (ret)
		goto no_interrupts;
	ret = begin_tasks();
	if (ret)
		goto no_tasks;
	ret = -ENOMEM;
	if (!proc_create_single("klp_test_consistency", 0, NULL, consistency_show))
		goto no_file;
	if (!proc_create_single("klp_test_visit", 0, NULL, visit_show))
		goto no_second_file;
	return 0;

no_second_file:
	remove_proc_entry("klp_test_consistency", NULL);
no_file:
	end_tasks();
no_tasks:
	if (interrupts)
		end_interrupts();
no_interrupts:
	end_return_probe();
no_return_probe:
	end_probe();
	return ret;
}

static void __exit klp_test_consistency_exit(void)
{
	remove_proc_entry("klp_test_visit", NULL);
	remove_proc_entry("klp_test_consistency", NULL);
	end_tasks();
	if (interrupts)
		end_interrupts();
	end_return_probe();
	end_probe();
}

module_init(klp_test_consistency_init);
module_exit(klp_test_consistency_exit);
MODULE_DESCRIPTION("Livepatch tests: functions that belong together");
MODULE_LICENSE("GPL");
