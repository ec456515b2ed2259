// SPDX-License-Identifier: GPL-2.0
/*
 * A module that loads and unloads.
 */
#include <linux/module.h>

static int __init harness_good_init(void)
{
	return 0;
}
module_init(harness_good_init);

static void __exit harness_good_exit(void)
{
}
module_exit(harness_good_exit);

MODULE_DESCRIPTION("Test of the selftests' harness: an ordinary module");
MODULE_LICENSE("GPL");
