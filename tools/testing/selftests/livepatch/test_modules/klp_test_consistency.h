/* SPDX-License-Identifier: GPL-2.0 */
/* One of two patches of the functions that belong together; VERSION is what they all have. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "klp_test_visit.h"

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all earlier patches");

static int new_inner(void)
{
	return VERSION;
}

static int new_outer(struct klp_test_visit *visit)
{
	visit->tour(visit, VERSION);
	visit->farewell(visit);
	/* Not to be left with a jump. */
	return visit->version;
}

static struct klp_func functions[] = {
	{ .old_name = "klp_test_outer", .new_func = new_outer },
	{ .old_name = "klp_test_inner_first", .new_func = new_inner },
	{ .old_name = "klp_test_inner_second", .new_func = new_inner },
	{ }
};

static struct klp_func far_functions[] = {
	{ .old_name = "klp_test_far", .new_func = new_inner },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_consistency", .funcs = functions },
	{ .name = "klp_test_far", .funcs = far_functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_consistency_init(void)
{
	patch.replace = replace;
	return klp_enable_patch(&patch);
}

static void __exit klp_test_consistency_exit(void)
{
}

module_init(klp_test_consistency_init);
module_exit(klp_test_consistency_exit);
MODULE_DESCRIPTION("Livepatch tests: patch functions that belong together");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
