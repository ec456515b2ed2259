// SPDX-License-Identifier: GPL-2.0
/*
 * A module without an exit function: the kernel does not let go of it.
 */
#include <linux/module.h>

static int __init harness_stuck_init(void)
{
	return 0;
}
module_init(harness_stuck_init);

MODULE_DESCRIPTION("Test of the selftests' harness: a module that stays");
MODULE_LICENSE("GPL");
