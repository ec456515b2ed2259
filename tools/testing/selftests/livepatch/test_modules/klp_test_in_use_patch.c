// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the functions of klp_test_in_use. A task can sleep in code of this module without an
 * address in one of the new functions on its stack: in new_cold.cold, and in new_behind().
 */
#include <linux/kthread.h>
#include <linux/livepatch.h>
#include <linux/module.h>

#include "klp_test_in_use.h"

static bool release;
module_param(release, bool, 0644);
MODULE_PARM_DESC(release, "Lets those go that sleep");

static int sleepers;
module_param(sleepers, int, 0444);
MODULE_PARM_DESC(sleepers, "How many sleep");

static bool thread;
module_param(thread, bool, 0444);
MODULE_PARM_DESC(thread, "A kernel thread runs in this module until it is removed");

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all earlier patches");

static int zero;

COLD_PART(new_cold)
{
	SLEEP_UNTIL_RELEASED(schedule_cold_timeout);
	return READ_ONCE(zero);
}

static noinline int new_cold(bool sleep)
{
	if (sleep)
		return new_cold_cold_part();
	return READ_ONCE(zero);
}

static noinline int new_behind(void)
{
	SLEEP_UNTIL_RELEASED(schedule_timeout_idle);
	return READ_ONCE(zero);
}

static noinline int new_tail(bool sleep)
{
	if (sleep)
		return new_behind();
	return -READ_ONCE(zero);
}

static noinline int new_body(bool sleep)
{
	if (sleep)
		SLEEP_UNTIL_RELEASED(schedule_timeout_idle);
	return 2 * READ_ONCE(zero);
}

static struct klp_func functions[] = {
	{ .old_name = "klp_test_cold", .new_func = new_cold },
	{ .old_name = "klp_test_tail", .new_func = new_tail },
	{ .old_name = "klp_test_body", .new_func = new_body },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_in_use", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static struct task_struct *task;

static int run(void *unused)
{
	while (!kthread_should_stop())
		schedule_timeout_idle(HZ / 20);
	return 0;
}

static int __init klp_test_in_use_patch_init(void)
{
	int ret;

	if (thread) {
		task = kthread_run(run, NULL, "klp_patch");
		if (IS_ERR(task))
			return PTR_ERR(task);
	}
	patch.replace = replace;
	ret = klp_enable_patch(&patch);
	if (ret && task)
		kthread_stop(task);
	return ret;
}

static void __exit klp_test_in_use_patch_exit(void)
{
	if (task)
		kthread_stop(task);
}

module_init(klp_test_in_use_patch_init);
module_exit(klp_test_in_use_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: new code that tasks are in without a trace");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
