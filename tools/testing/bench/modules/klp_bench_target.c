// SPDX-License-Identifier: GPL-2.0
/*
 * What is patched. Writing to the parameter run calls functions in loops, between
 * points that are counted (calls.h).
 */
#include <linux/module.h>

#include "calls.h"

FUNCTION(klp_bench_unpatched)
FUNCTION(klp_bench_empty)

/* One for every patch that is enabled at a time. */
#define FUNCTION_OF_A_PATCH(n) FUNCTION(klp_bench_function##n)
HUNDRED(FUNCTION_OF_A_PATCH)

static int run(const char *value, const struct kernel_param *parameter)
{
	count_calls(klp_bench_unpatched, klp_bench_empty);
	return 0;
}

static const struct kernel_param_ops run_ops = { .set = run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "call the functions");

static int __init klp_bench_target_init(void)
{
	return 0;
}

static void __exit klp_bench_target_exit(void)
{
}

module_init(klp_bench_target_init);
module_exit(klp_bench_target_exit);
MODULE_DESCRIPTION("Is patched while it is measured");
MODULE_LICENSE("GPL");
