// SPDX-License-Identifier: GPL-2.0
/*
 * Switches ftrace off, as a fault of its own does, until the next boot. The mark lets it call a
 * function that is not exported; it patches nothing, and its init function fails.
 */
#include <linux/ftrace.h>
#include <linux/module.h>

static int __init klp_test_kill_ftrace_init(void)
{
	ftrace_kill();
	return -EAGAIN;
}

module_init(klp_test_kill_ftrace_init);
MODULE_DESCRIPTION("Livepatch tests: ftrace fails");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
