// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces one empty function of klp_bench_target by another one. Point 0 is before the
 * patch is enabled, point 1 when a transition is over.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "mark.h"

/* As long as it may be: what is added refers to it by name only. */
static char function[64] = "klp_bench_empty";
module_param_string(function, function, sizeof(function), 0444);
MODULE_PARM_DESC(function, "the function to patch");

static noinline __noclone void new_function(void)
{
	asm volatile("");
}

static void transition_is_over(struct klp_object *object)
{
	mark_point(1);
}

static struct klp_func functions[] = {
	{ .old_name = function, .new_func = new_function },
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

static int __init klp_bench_patch_init(void)
{
	mark_point(0);
	return klp_enable_patch(&patch);
}

static void __exit klp_bench_patch_exit(void)
{
}

module_init(klp_bench_patch_init);
module_exit(klp_bench_patch_exit);
MODULE_DESCRIPTION("Is enabled while it is measured");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
