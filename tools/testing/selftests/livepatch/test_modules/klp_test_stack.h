/* SPDX-License-Identifier: GPL-2.0 */
/* One of ten patches of one function; LEVEL says which. */
#include <linux/livepatch.h>
#include <linux/module.h>

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all earlier patches");

static int new_unique_value(void)
{
	return 9000 + LEVEL;
}

static struct klp_func functions[] = {
	{ .old_name = "unique_value", .new_func = new_unique_value },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_target", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_stack_init(void)
{
	patch.replace = replace;
	return klp_enable_patch(&patch);
}

static void __exit klp_test_stack_exit(void)
{
}

module_init(klp_test_stack_init);
module_exit(klp_test_stack_exit);
MODULE_DESCRIPTION("Livepatch tests: a stack of patches");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
