// SPDX-License-Identifier: GPL-2.0
/*
 * What is patched. Writing to the parameter run calls functions in loops, between
 * points that are counted: 0 an empty loop 1 calls of a function that nothing patches 2
 * calls of one that may be 3
 */
#include <linux/irqflags.h>
#include <linux/module.h>

#include "mark.h"

#define CALLS 10000

#define FUNCTION(name)                    \
	noinline __noclone void name(void); \
	noinline __noclone void name(void)  \
	{                                   \
		asm volatile("");           \
	}

FUNCTION(klp_bench_unpatched)
FUNCTION(klp_bench_empty)

/* One for every patch that is enabled at a time. */
#define TEN(n)                                                          \
	FUNCTION(klp_bench_function##n##0) FUNCTION(klp_bench_function##n##1) \
	FUNCTION(klp_bench_function##n##2) FUNCTION(klp_bench_function##n##3) \
	FUNCTION(klp_bench_function##n##4) FUNCTION(klp_bench_function##n##5) \
	FUNCTION(klp_bench_function##n##6) FUNCTION(klp_bench_function##n##7) \
	FUNCTION(klp_bench_function##n##8) FUNCTION(klp_bench_function##n##9)
TEN(0) TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6)

static int run(const char *value, const struct kernel_param *parameter)
{
	unsigned long flags;
	int i;

	/* Only what is to be counted runs in the meantime. */
	local_irq_save(flags);
	mark_point(0);
	for (i = 0; i < CALLS; i++)
		asm volatile("" : "+r"(i));
	mark_point(1);
	for (i = 0; i < CALLS; i++) {
		asm volatile("" : "+r"(i));
		klp_bench_unpatched();
	}
	mark_point(2);
	for (i = 0; i < CALLS; i++) {
		asm volatile("" : "+r"(i));
		klp_bench_empty();
	}
	mark_point(3);
	local_irq_restore(flags);
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
