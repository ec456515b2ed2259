// SPDX-License-Identifier: GPL-2.0
/* A function of klp_test_consistency's that is in another module: another object to a patch. */
#include <linux/module.h>

static int zero;

int klp_test_far(void);

noinline int klp_test_far(void)
{
	return READ_ONCE(zero) * 3;
}
EXPORT_SYMBOL_GPL(klp_test_far);

MODULE_DESCRIPTION("Livepatch tests: a function that is consistent with those of another module");
MODULE_LICENSE("GPL");
