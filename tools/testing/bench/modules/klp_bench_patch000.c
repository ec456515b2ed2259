// SPDX-License-Identifier: GPL-2.0
/* Replaces one empty function of klp_bench_target by another one. */
#include <linux/livepatch.h>
#include <linux/module.h>

/* As long as it may be: what is added refers to it by name only. */
static char function[64] = "klp_bench_empty";
module_param_string(function, function, sizeof(function), 0444);
MODULE_PARM_DESC(function, "the function to patch");

static noinline __noclone void new_function(void)
{
	asm volatile("");
}

static struct klp_func functions[] = {
	{ .old_name = function, .new_func = new_function },
	{ }
};

#include "patch.h"

MODULE_DESCRIPTION("Is enabled while it is measured");
