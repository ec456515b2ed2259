// SPDX-License-Identifier: GPL-2.0
/* Replaces a hundred empty functions of klp_bench_target by others. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "calls.h"

#define NEW_FUNCTION(n) FUNCTION(klp_bench_new##n)
HUNDRED(NEW_FUNCTION)

#define REPLACES(n) { .old_name = "klp_bench_function" #n, .new_func = klp_bench_new##n },

static struct klp_func functions[] = {
	HUNDRED(REPLACES)
	{ }
};

#include "patch.h"

MODULE_DESCRIPTION("Replaces many functions while it is measured");
