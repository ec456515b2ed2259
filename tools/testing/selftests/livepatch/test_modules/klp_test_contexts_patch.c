// SPDX-License-Identifier: GPL-2.0
/* Patches both functions of klp_test_contexts. */
#include <linux/livepatch.h>
#include <linux/module.h>

static int new_value(void)
{
	return 1;
}

static struct klp_func functions[] = {
	{ .old_name = "klp_test_first", .new_func = new_value },
	{ .old_name = "klp_test_second", .new_func = new_value },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_contexts", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_contexts_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_test_contexts_patch_exit(void)
{
}

module_init(klp_test_contexts_patch_init);
module_exit(klp_test_contexts_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: patch functions that run in interrupts");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
