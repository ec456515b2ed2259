/* SPDX-License-Identifier: GPL-2.0 */
/* One of several patches of klp_test_naps; VERSION says which. It also patches klp_test_target. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "klp_test_nap.h"
#include "klp_test_slow.h"

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all earlier patches");

static bool slow_init;
module_param(slow_init, bool, 0644);
MODULE_PARM_DESC(slow_init, "The init function waits when it has enabled the patch");

static bool fail_init;
module_param(fail_init, bool, 0444);
MODULE_PARM_DESC(fail_init, "Fail the init function when it has enabled the patch");

static int new_step(void)
{
	return VERSION;
}

static int new_nap(struct klp_test_nap *nap)
{
	return klp_test_nap_as(VERSION, nap);
}

static int new_unique_value(void)
{
	return 500 + VERSION;
}

static struct klp_func functions[] = {
	{ .old_name = "klp_test_step", .new_func = new_step },
	{ .old_name = "klp_test_nap", .new_func = new_nap },
	{ }
};

static struct klp_func target_functions[] = {
	{ .old_name = "unique_value", .new_func = new_unique_value },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_naps", .funcs = functions },
	{ .name = "klp_test_target", .funcs = target_functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_nap_patch_init(void)
{
	int ret;

	patch.replace = replace;
	ret = klp_enable_patch(&patch);
	if (ret)
		return ret;
	last_while(&slow_init);
	return fail_init ? -ENOMSG : 0;
}

static void __exit klp_test_nap_patch_exit(void)
{
}

module_init(klp_test_nap_patch_init);
module_exit(klp_test_nap_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: patch a function that tasks of all kinds sleep in");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
