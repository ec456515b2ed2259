// SPDX-License-Identifier: GPL-2.0
/*
 * For the control run of hostile.sh: the names that a livepatch refers to, so that the
 * kernel's own module loader goes through all of it. Nothing is patched.
 */
#include <linux/module.h>

int klp_enable_patch(void *patch);
int klp_enable_patch(void *patch)
{
	return 0;
}
EXPORT_SYMBOL_GPL(klp_enable_patch);

MODULE_DESCRIPTION("Livepatch tests: an API that does nothing");
MODULE_LICENSE("GPL");
