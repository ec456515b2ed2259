// SPDX-License-Identifier: GPL-2.0
/*
 * Two functions that a thread on each CPU calls all the time, to be patched, and a look at
 * each breakpoint trap in them that nobody claims.
 *
 * The kernel changes instructions by way of a breakpoint (0xcc). As long as it is in memory,
 * the kernel claims the traps. A trap that nobody claims is an oops. Here the instruction is
 * run again instead. A CPU then fetches it again: if memory holds no breakpoint, it cannot
 * trap a second time. An emulator can, when it goes on with a translation of what was there.
 *
 * The parameter report has the counts; see report_get().
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kdebug.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/unaligned.h>
#include <asm/text-patching.h>

/* How often an instruction is run again before it is emulated. */
#define LIMIT 1000
/* Where a function can be poked: at its beginning. */
#define CALL_SITE 16
/* How often each is called before the thread sleeps. */
#define BURST 2000

static unsigned int switches;
module_param(switches, uint, 0644);
MODULE_PARM_DESC(switches, "How often text was changed, by the one who does it");

static bool broken;
module_param(broken, bool, 0444);
MODULE_PARM_DESC(broken, "A third function holds a breakpoint that is nobody's: a test of the test");

/* Of one CPU, and written by it only. */
struct state {
	/* Begun by its thread, of either function. */
	unsigned long calls;
	/* The last trap: where it was, in which call, and how often it came there. */
	unsigned long place;
	unsigned long call;
	unsigned long length;
	/* How often memory held a breakpoint. */
	unsigned long held;
	/* Where an instruction trapped LIMIT times, and how often text had been changed. */
	unsigned long stale;
	unsigned int stale_switches;
	/* Traps while memory held no breakpoint, and the series of two and more of them. */
	unsigned long traps;
	unsigned long series;
	unsigned long single;
	unsigned long longest;
};
static DEFINE_PER_CPU(struct state, states);
static DEFINE_PER_CPU(struct task_struct *, threads);

static int value;

static __attribute__((noipa)) int int3_first(int x)
{
	WRITE_ONCE(value, x);
	return 1;
}

static __attribute__((noipa)) int int3_second(int x)
{
	WRITE_ONCE(value, -x);
	return 1;
}

static __attribute__((noipa)) void int3_broken(void)
{
	asm volatile("int3");
}

static int run(void *unused)
{
	struct state *state = this_cpu_ptr(&states);
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < BURST; i++) {
			WRITE_ONCE(state->calls, state->calls + 1);
			int3_first(i);
			WRITE_ONCE(state->calls, state->calls + 1);
			int3_second(i);
		}
		/* Once what there is to tell has begun. */
		if (broken && READ_ONCE(switches) > 4)
			int3_broken();
		/* A task that never leaves the functions would never be switched over. */
		usleep_range(500, 1000);
	}
	return 0;
}

static bool is_in(unsigned long place, void *function)
{
	return place - (unsigned long)function < CALL_SITE;
}

/* What the instruction does that is there. Nothing where it is being changed. */
static bool emulate(struct pt_regs *regs, unsigned long place)
{
	unsigned long next = place + CALL_INSN_SIZE;
	u8 opcode = READ_ONCE(*(u8 *)place);
	s32 offset = get_unaligned((s32 *)(place + 1));

	/* The first byte is the first one to be changed. */
	smp_rmb();
	if (READ_ONCE(*(u8 *)place) != opcode)
		return false;
	switch (opcode) {
	case CALL_INSN_OPCODE:
		int3_emulate_call(regs, next, next + offset);
		return true;
	case JMP32_INSN_OPCODE:
		int3_emulate_jmp(regs, next + offset);
		return true;
	case 0x0f: /* a nop of five bytes */
		int3_emulate_jmp(regs, next);
		return true;
	}
	return false;
}

/* Counts the series that has ended. */
static void finish(struct state *state)
{
	if (state->length > 1)
		state->series++;
	else if (state->length == 1)
		state->single++;
	state->longest = max(state->longest, state->length);
}

static int trapped(struct notifier_block *block, unsigned long event, void *data)
{
	struct pt_regs *regs = ((struct die_args *)data)->regs;
	unsigned long place = regs->ip - INT3_INSN_SIZE;
	struct state *state;
	bool known;

	if (event != DIE_INT3 || user_mode(regs) ||
	    !(is_in(place, int3_first) || is_in(place, int3_second) || is_in(place, int3_broken)))
		return NOTIFY_DONE;

	state = this_cpu_ptr(&states);
	known = state->stale == place && state->stale_switches == READ_ONCE(switches);
	/* Nothing else of this CPU calls these functions. */
	if (state->place != place || state->call != state->calls) {
		finish(state);
		state->place = place;
		state->call = state->calls;
		state->length = 0;
		state->held = 0;
	}
	if (READ_ONCE(*(u8 *)place) == INT3_INSN_OPCODE) {
		/* Poked since the kernel has looked? Then it will claim the next trap. */
		if (++state->held > LIMIT) {
			pr_emerg("memory holds a breakpoint at %pS that nobody claims\n", (void *)place);
			return NOTIFY_DONE;
		}
	} else {
		state->traps++;
		/* One long series says it all. */
		if (!known)
			state->length++;
		if (state->length > LIMIT) {
			state->stale = place;
			state->stale_switches = READ_ONCE(switches);
			known = true;
		}
		if (known && emulate(regs, place))
			return NOTIFY_STOP;
	}
	regs->ip = place;
	return NOTIFY_STOP;
}

/* After all others: what they claim is no concern of this one. */
static struct notifier_block notifier = {
	.notifier_call = trapped,
	.priority = INT_MIN,
};

/*
 * calls: of both functions, on all CPUs.
 * traps: that nobody claimed, while memory held no breakpoint.
 * series: of two and more traps of the same call at the same place; more than that make none
 *	while text is not changed.
 * single: traps of which there was one.
 * longest: series.
 */
static int report_get(char *buffer, const struct kernel_param *param)
{
	struct state sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		/* The last series is none that has ended. */
		struct state state = *per_cpu_ptr(&states, cpu);

		finish(&state);
		sum.calls += state.calls;
		sum.traps += state.traps;
		sum.series += state.series;
		sum.single += state.single;
		sum.longest = max(sum.longest, state.longest);
	}
	return sysfs_emit(buffer, "calls %lu traps %lu series %lu single %lu longest %lu\n",
			  sum.calls, sum.traps, sum.series, sum.single, sum.longest);
}

static const struct kernel_param_ops report_ops = { .get = report_get };
module_param_cb(report, &report_ops, NULL, 0444);

static void stop_threads(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (per_cpu(threads, cpu))
			kthread_stop(per_cpu(threads, cpu));
	}
}

static int __init int3_hot_init(void)
{
	int cpu, error;

	error = register_die_notifier(&notifier);
	if (error)
		return error;
	for_each_online_cpu(cpu) {
		struct task_struct *thread = kthread_run_on_cpu(run, NULL, cpu, "int3_hot/%u");

		if (IS_ERR(thread)) {
			stop_threads();
			unregister_die_notifier(&notifier);
			return PTR_ERR(thread);
		}
		per_cpu(threads, cpu) = thread;
	}
	return 0;
}

static void __exit int3_hot_exit(void)
{
	stop_threads();
	unregister_die_notifier(&notifier);
}

module_init(int3_hot_init);
module_exit(int3_hot_exit);
MODULE_DESCRIPTION("Livepatch tests: breakpoint traps in functions that are called all the time");
MODULE_LICENSE("GPL");
