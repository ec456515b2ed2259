// SPDX-License-Identifier: GPL-2.0
/* Patches both functions of klp_test_hot. */
#include <linux/livepatch.h>
#include <linux/module.h>

static int value;

static int new_first(int x)
{
	WRITE_ONCE(value, x);
	return 2;
}

static int new_second(int x)
{
	WRITE_ONCE(value, -x);
	return 2;
}

static struct klp_func functions[] = {
	{ .old_name = "klp_test_hot_first", .new_func = new_first },
	{ .old_name = "klp_test_hot_second", .new_func = new_second },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_hot", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_hot_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_test_hot_patch_exit(void)
{
}

module_init(klp_test_hot_patch_init);
module_exit(klp_test_hot_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: patch functions that are called all the time");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
