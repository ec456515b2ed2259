// SPDX-License-Identifier: GPL-2.0
/* Patches the function of klp_test_target that tasks sleep in. */
#include <linux/delay.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static bool release = true;
module_param(release, bool, 0644);
MODULE_PARM_DESC(release, "Lets those go that sleep in the new function");

static int sleepers;
module_param(sleepers, int, 0444);
MODULE_PARM_DESC(sleepers, "How many sleep in the new function");

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all earlier patches");

static void new_sleeper(bool deaf)
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

static int new_value(void)
{
	return 4242;
}

static struct klp_func functions[] = {
	{ .old_name = "klp_test_sleeper", .new_func = new_sleeper },
	{ .old_name = "unique_value", .new_func = new_value },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_target", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_sleeper_patch_init(void)
{
	patch.replace = replace;
	return klp_enable_patch(&patch);
}

static void __exit klp_test_sleeper_patch_exit(void)
{
}

module_init(klp_test_sleeper_patch_init);
module_exit(klp_test_sleeper_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: patch a function that tasks sleep in");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
