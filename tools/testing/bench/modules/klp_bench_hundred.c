// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces a hundred empty functions of klp_bench_target by others. Point 0 is before the
 * patch is enabled, point 1 when a transition is over.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "calls.h"

#define NEW_FUNCTION(n) FUNCTION(klp_bench_new##n)
HUNDRED(NEW_FUNCTION)

static void transition_is_over(struct klp_object *object)
{
	mark_point(1);
}

#define REPLACES(n) { .old_name = "klp_bench_function" #n, .new_func = klp_bench_new##n },

static struct klp_func functions[] = {
	HUNDRED(REPLACES)
	{ }
};

static struct klp_object objects[] = {
	{
		.name = "klp_bench_target",
		.funcs = functions,
		.callbacks = {
			.post_patch = transition_is_over,
			.post_unpatch = transition_is_over,
		},
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init klp_bench_hundred_init(void)
{
	mark_point(0);
	return klp_enable_patch(&patch);
}

static void __exit klp_bench_hundred_exit(void)
{
}

module_init(klp_bench_hundred_init);
module_exit(klp_bench_hundred_exit);
MODULE_DESCRIPTION("Replaces many functions while it is measured");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
