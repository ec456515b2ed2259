// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what others build: the functions that are patched. What PATCHED adds has
 * an entry in each of the tables that the kernel reads of a module.
 */
#include <linux/module.h>
#include "klp_others.h"

static int calls;

/* Read by the patch alone. */
static bool warn;
module_param(warn, bool, 0644);
MODULE_PARM_DESC(warn, "Whether the new function warns");

static noinline int value(void)
{
#ifdef PATCHED
	return ++calls * 10 + 2000;
#else
	return ++calls * 10 + 2;
#endif
}

int klp_others_second(void)
{
	return value();
}

#ifdef PATCHED
#include "../klp_others_special.h"
#else
noinline void klp_others_special(struct seq_file *file)
{
	seq_printf(file, "special original%s\n", warn ? ", warned" : "");
}
#endif

#ifdef PATCHED
#include <linux/livepatch_helpers.h>
#include "../klp_others_callbacks.h"

KLP_PRE_PATCH_CALLBACK(pre_patch);
KLP_POST_PATCH_CALLBACK(post_patch);
KLP_PRE_UNPATCH_CALLBACK(pre_unpatch);
KLP_POST_UNPATCH_CALLBACK(post_unpatch);
#endif
