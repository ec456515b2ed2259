// SPDX-License-Identifier: GPL-2.0
/*
 * What is patched while tasks are in the way. Parameters:
 *
 *   version  reading it calls a function: 0 is the old one, 1 the new one
 *   sleeper  1 has a kernel thread sleep in a function that is patched, uninterruptibly,
 *            0 wakes it and waits for its end
 *   run      writing to it calls functions in loops, between points that are counted
 *            (calls.h)
 */
#include <linux/completion.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/task.h>
#include <linux/sysfs.h>

#include "calls.h"

FUNCTION(klp_bench_always)
FUNCTION(klp_bench_called)

noinline __noclone int klp_bench_version(void);
noinline __noclone int klp_bench_version(void)
{
	int version = 0;

	/* The compiler is not to know what callers get. */
	asm volatile("" : "+r"(version));
	return version;
}

static struct task_struct *sleeper;
static DECLARE_COMPLETION(is_inside);
static DECLARE_COMPLETION(may_leave);

noinline __noclone void klp_bench_sleep(void);
noinline __noclone void klp_bench_sleep(void)
{
	complete(&is_inside);
	wait_for_completion(&may_leave);
	/* No tail call: it is to stay on the stack. */
	asm volatile("");
}

static int sleep_once(void *unused)
{
	klp_bench_sleep();
	return 0;
}

static void end_sleeper(void)
{
	if (!sleeper)
		return;
	complete(&may_leave);
	kthread_stop_put(sleeper);
	sleeper = NULL;
}

static int set_sleeper(const char *value, const struct kernel_param *parameter)
{
	struct task_struct *task;
	bool wanted;
	int ret;

	ret = kstrtobool(value, &wanted);
	if (ret)
		return ret;
	end_sleeper();
	if (!wanted)
		return 0;
	reinit_completion(&is_inside);
	reinit_completion(&may_leave);
	task = kthread_create(sleep_once, NULL, "klp_bench_sleep");
	if (IS_ERR(task))
		return PTR_ERR(task);
	sleeper = get_task_struct(task);
	wake_up_process(task);
	wait_for_completion(&is_inside);
	return 0;
}

static int get_version(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%d\n", klp_bench_version());
}

static int run(const char *value, const struct kernel_param *parameter)
{
	count_calls(klp_bench_always, klp_bench_called);
	return 0;
}

static const struct kernel_param_ops version_ops = { .get = get_version };
module_param_cb(version, &version_ops, NULL, 0444);
MODULE_PARM_DESC(version, "which functions are in effect for the reader");

static const struct kernel_param_ops sleeper_ops = { .set = set_sleeper };
module_param_cb(sleeper, &sleeper_ops, NULL, 0200);
MODULE_PARM_DESC(sleeper, "whether a kernel thread sleeps in a function");

static const struct kernel_param_ops run_ops = { .set = run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "call the functions");

static int __init klp_bench_blocked_init(void)
{
	return 0;
}

static void __exit klp_bench_blocked_exit(void)
{
	end_sleeper();
}

module_init(klp_bench_blocked_init);
module_exit(klp_bench_blocked_exit);
MODULE_DESCRIPTION("Is patched while tasks are in the way");
MODULE_LICENSE("GPL");
