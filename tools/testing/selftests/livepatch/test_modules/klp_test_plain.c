// SPDX-License-Identifier: GPL-2.0
/* A module that has nothing to do with livepatching. */
#include <linux/module.h>

static int __init klp_test_plain_init(void)
{
	return 0;
}

static void __exit klp_test_plain_exit(void)
{
}

module_init(klp_test_plain_init);
module_exit(klp_test_plain_exit);
MODULE_DESCRIPTION("Livepatch tests: an ordinary module");
MODULE_LICENSE("GPL");
