// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what others build: a patch that replaces all others, and patches nothing.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static struct klp_object objects[] = { { } };

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
	.replace = true,
};

static int __init klp_others_take_back_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_others_take_back_exit(void)
{
}

module_init(klp_others_take_back_init);
module_exit(klp_others_take_back_exit);
MODULE_DESCRIPTION("Tests of what others build: a patch that takes all others back");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
