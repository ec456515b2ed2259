// SPDX-License-Identifier: GPL-2.0
/*
 * A module whose init function fails, with an errno and a message.
 */
#include <linux/module.h>

static int __init harness_refused_init(void)
{
	pr_err("harness_refused: no, thank you\n");
	return -ENODEV;
}
module_init(harness_refused_init);

MODULE_DESCRIPTION("Test of the selftests' harness: a module that refuses to load");
MODULE_LICENSE("GPL");
