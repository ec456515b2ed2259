// SPDX-License-Identifier: GPL-2.0
/*
 * Functions to be patched, in parts of which a task can sleep without an address in the
 * function itself on its stack. Each tells whether it is the old one.
 *
 * /proc/klp_test_cold		klp_test_cold(), which may sleep in its .cold part
 * /proc/klp_test_tail		klp_test_tail(), which may leave for klp_test_behind(), and sleep
 *				there
 * /proc/klp_test_body		klp_test_body(), which may sleep itself
 *
 * What reads one of these does not sleep, but what reads /proc/klp_test_cold_sleep and so on
 * does, until the parameter release is set.
 */
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "klp_test_in_use.h"
#include "klp_test_slow.h"

static bool release;
module_param(release, bool, 0644);
MODULE_PARM_DESC(release, "Lets those go that sleep");

static int sleepers;
module_param(sleepers, int, 0444);
MODULE_PARM_DESC(sleepers, "How many sleep");

static bool thread;
module_param(thread, bool, 0444);
MODULE_PARM_DESC(thread, "A kernel thread calls klp_test_body(), and may sleep there");

static bool slow_exit;
module_param(slow_exit, bool, 0644);
MODULE_PARM_DESC(slow_exit, "The exit function waits before it does anything");

static int old = 1;

COLD_PART(klp_test_cold)
{
	SLEEP_UNTIL_RELEASED(schedule_cold_timeout);
	return READ_ONCE(old);
}

static noinline int klp_test_cold(bool sleep)
{
	if (sleep)
		return klp_test_cold_cold_part();
	return READ_ONCE(old);
}

static noinline int klp_test_behind(void)
{
	SLEEP_UNTIL_RELEASED(schedule_timeout_idle);
	return READ_ONCE(old);
}

static noinline int klp_test_tail(bool sleep)
{
	if (sleep)
		return klp_test_behind();
	return -READ_ONCE(old);
}

static noinline int klp_test_body(bool sleep)
{
	if (sleep)
		SLEEP_UNTIL_RELEASED(schedule_timeout_idle);
	return 2 * READ_ONCE(old);
}

struct klp_test_file {
	const char *name;
	int (*function)(bool sleep);
	bool sleep;
};

static const struct klp_test_file files[] = {
	{ "klp_test_cold", klp_test_cold },
	{ "klp_test_tail", klp_test_tail },
	{ "klp_test_body", klp_test_body },
	{ "klp_test_cold_sleep", klp_test_cold, true },
	{ "klp_test_tail_sleep", klp_test_tail, true },
	{ "klp_test_body_sleep", klp_test_body, true },
};

static int show(struct seq_file *seq, void *unused)
{
	const struct klp_test_file *file = seq->private;

	seq_puts(seq, file->function(file->sleep) ? "old\n" : "new\n");
	return 0;
}

static struct task_struct *task;

static int run(void *unused)
{
	while (!kthread_should_stop()) {
		klp_test_body(true);
		schedule_timeout_idle(1);
	}
	return 0;
}

static void remove_files(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		remove_proc_entry(files[i].name, NULL);
}

static int __init klp_test_in_use_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		proc_create_single_data(files[i].name, 0, NULL, show, (void *)&files[i]);
	if (!thread)
		return 0;
	task = kthread_run(run, NULL, "klp_in_use");
	if (IS_ERR(task)) {
		remove_files();
		return PTR_ERR(task);
	}
	return 0;
}

static void __exit klp_test_in_use_exit(void)
{
	last_while(&slow_exit);
	if (task)
		kthread_stop(task);
	remove_files();
}

module_init(klp_test_in_use_init);
module_exit(klp_test_in_use_exit);
MODULE_DESCRIPTION("Livepatch tests: functions that tasks are in without a trace");
MODULE_LICENSE("GPL");
