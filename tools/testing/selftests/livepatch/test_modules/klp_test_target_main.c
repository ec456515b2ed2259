// SPDX-License-Identifier: GPL-2.0
/*
 * A module to be patched.
 *
 * /proc/klp_test_values	what its functions return
 * /proc/klp_test_sleep		a read sleeps in klp_test_sleeper() until the
 *				parameter release is set
 * /proc/klp_test_sleep_deaf	the same, deaf to signals
 * /proc/klp_test_busy		a read keeps a CPU in the kernel for 2 s or
 *				until there is a signal; it can be preempted
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include "klp_test_slow.h"
#include "klp_test_target.h"

static bool release;
module_param(release, bool, 0644);
MODULE_PARM_DESC(release, "Lets those go that sleep");

static int sleepers;
module_param(sleepers, int, 0444);
MODULE_PARM_DESC(sleepers, "How many sleep");

static bool fail_init;
module_param(fail_init, bool, 0444);
MODULE_PARM_DESC(fail_init, "Fail the init function");

static bool slow_init;
module_param(slow_init, bool, 0644);
MODULE_PARM_DESC(slow_init, "The init function waits before it does anything");

int klp_test_unique = 42;

static noinline int unique_value(void)
{
	return READ_ONCE(klp_test_unique);
}

static noinline void klp_test_sleeper(bool deaf)
{
	sleepers++;
	while (!READ_ONCE(release)) {
		if (deaf)
			schedule_timeout_idle(HZ / 20);
		else if (msleep_interruptible(50))
			break;
	}
	sleepers--;
}

static int values_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "shared %d %d %d unique %d\n", call_shared_value_1(),
		   call_shared_value_2(), call_shared_value_3(), unique_value());
	return 0;
}

static int sleep_show(struct seq_file *file, void *unused)
{
	klp_test_sleeper(false);
	seq_puts(file, "slept\n");
	return 0;
}

static int sleep_deaf_show(struct seq_file *file, void *unused)
{
	klp_test_sleeper(true);
	seq_puts(file, "slept\n");
	return 0;
}

static noinline void klp_test_spin(u64 ns)
{
	u64 end = ktime_get_ns() + ns;

	while (ktime_get_ns() < end && !signal_pending(current))
		cpu_relax();
}

static int busy_show(struct seq_file *file, void *unused)
{
	klp_test_spin(2 * NSEC_PER_SEC);
	seq_puts(file, "spun\n");
	return 0;
}

static const struct {
	const char *name;
	int (*show)(struct seq_file *file, void *unused);
} files[] = {
	{ "klp_test_values", values_show },
	{ "klp_test_sleep", sleep_show },
	{ "klp_test_sleep_deaf", sleep_deaf_show },
	{ "klp_test_busy", busy_show },
};

/* Files that are not there are none to remove_proc_subtree(). */
static void klp_test_target_end(void)
{
	int i;

	for (i = ARRAY_SIZE(files) - 1; i >= 0; i--)
		remove_proc_subtree(files[i].name, NULL);
}

static int __init klp_test_target_init(void)
{
	int i;

	if (fail_init)
		return -ENODEV;
	last_while(&slow_init);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (!proc_create_single(files[i].name, 0, NULL, files[i].show)) {
			klp_test_target_end();
			return -ENOMEM;
		}
	}
	return 0;
}

static void __exit klp_test_target_exit(void)
{
	klp_test_target_end();
}

module_init(klp_test_target_init);
module_exit(klp_test_target_exit);
MODULE_DESCRIPTION("Livepatch tests: a module to be patched");
MODULE_LICENSE("GPL");
