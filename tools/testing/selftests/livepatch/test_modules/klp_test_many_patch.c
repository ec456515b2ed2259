// SPDX-License-Identifier: GPL-2.0
/* Patches all functions of klp_test_many. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "klp_test_many.h"

#define FUNCTION(n)                              \
	static noinline __noipa int new##n(void) \
	{                                        \
		return n + MORE;                 \
	}
MANY(FUNCTION)

#define REPLACES(n) { .old_name = "klp_test_many" #n, .new_func = new##n },
static struct klp_func functions[] = { MANY(REPLACES) { } };

static struct klp_object objects[] = {
	{ .name = "klp_test_many", .funcs = functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init klp_test_many_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_test_many_patch_exit(void)
{
}

module_init(klp_test_many_patch_init);
module_exit(klp_test_many_patch_exit);
MODULE_DESCRIPTION("Patches many functions");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
