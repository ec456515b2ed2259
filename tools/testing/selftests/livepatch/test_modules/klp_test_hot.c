// SPDX-License-Identifier: GPL-2.0
/* Two functions that a thread on each CPU calls all the time, to be patched. */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/percpu.h>

/* How often each is called before the thread sleeps. */
#define BURST 2000

static unsigned int switches;
module_param(switches, uint, 0644);
MODULE_PARM_DESC(switches, "How often text was changed, by the one who does it");

static bool broken;
module_param(broken, bool, 0444);
MODULE_PARM_DESC(broken, "A third function holds a breakpoint that is nobody's: a test of the test");

/* Begun by a CPU's thread, of either function. */
static DEFINE_PER_CPU(unsigned long, calls);
static DEFINE_PER_CPU(struct task_struct *, threads);

static int value;

static noinline __noipa int klp_test_hot_first(int x)
{
	WRITE_ONCE(value, x);
	return 1;
}

static noinline __noipa int klp_test_hot_second(int x)
{
	WRITE_ONCE(value, -x);
	return 1;
}

static noinline __noipa void klp_test_hot_broken(void)
{
	asm volatile("int3");
}

static int run(void *unused)
{
	unsigned long *mine = this_cpu_ptr(&calls);
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < BURST; i++) {
			klp_test_hot_first(i);
			klp_test_hot_second(i);
		}
		WRITE_ONCE(*mine, *mine + 2 * BURST);
		/* Once what there is to tell has begun. */
		if (broken && READ_ONCE(switches) > 4)
			klp_test_hot_broken();
		/* A task that never leaves the functions would never be switched over. */
		usleep_range(500, 1000);
	}
	return 0;
}

static int calls_get(char *buffer, const struct kernel_param *param)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(&calls, cpu));
	return sysfs_emit(buffer, "%lu\n", sum);
}

static const struct kernel_param_ops calls_ops = { .get = calls_get };
module_param_cb(calls, &calls_ops, NULL, 0444);
MODULE_PARM_DESC(calls, "Of both functions, on all CPUs");

static void stop_threads(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (per_cpu(threads, cpu))
			kthread_stop(per_cpu(threads, cpu));
	}
}

static int __init klp_test_hot_init(void)
{
	int cpu;

	for_each_online_cpu(cpu) {
		struct task_struct *thread = kthread_run_on_cpu(run, NULL, cpu, "klp_test_hot/%u");

		if (IS_ERR(thread)) {
			stop_threads();
			return PTR_ERR(thread);
		}
		per_cpu(threads, cpu) = thread;
	}
	return 0;
}

static void __exit klp_test_hot_exit(void)
{
	stop_threads();
}

module_init(klp_test_hot_init);
module_exit(klp_test_hot_exit);
MODULE_DESCRIPTION("Livepatch tests: functions that are called all the time");
MODULE_LICENSE("GPL");
