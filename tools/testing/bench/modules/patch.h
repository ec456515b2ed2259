/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A patch of klp_bench_target, for a file that defines its functions before. Point 0 is before
 * the patch is enabled, point 1 when a transition is over.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "mark.h"

static void transition_is_over(struct klp_object *object)
{
	mark_point(1);
}

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
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
