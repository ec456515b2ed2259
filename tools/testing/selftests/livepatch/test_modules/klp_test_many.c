// SPDX-License-Identifier: GPL-2.0
/*
 * Many functions that belong together. Reading the parameter results calls all of them and
 * tells how many were the old ones, the new ones, and neither.
 */
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sysfs.h>

#include "klp_test_many.h"

#define FUNCTION(n)                                        \
	static noinline __noipa int klp_test_many##n(void) \
	{                                                  \
		return n;                                  \
	}
MANY(FUNCTION)

#define ADDRESS(n) klp_test_many##n,
static int (*const functions[])(void) = { MANY(ADDRESS) };

#define NUMBER(n) n,
static const int numbers[] = { MANY(NUMBER) };

static int get_results(char *buffer, const struct kernel_param *parameter)
{
	int old = 0, new = 0, wrong = 0;
	int i;

	/* Nothing is switched meanwhile: all are of one side. */
	preempt_disable();
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		int value = functions[i]();

		if (value == numbers[i])
			old++;
		else if (value == numbers[i] + MORE)
			new++;
		else
			wrong++;
	}
	preempt_enable();
	return sysfs_emit(buffer, "%d %d %d\n", old, new, wrong);
}

static const struct kernel_param_ops results_ops = { .get = get_results };
module_param_cb(results, &results_ops, NULL, 0444);
MODULE_PARM_DESC(results, "How many functions are old, new, and neither");

/* Their code tells a function that was not switched from a processor that runs what was there. */
static int get_odd(char *buffer, const struct kernel_param *parameter)
{
	int i, at = 0, more = 0;

	for (i = 0; i < ARRAY_SIZE(functions); i++)
		more += functions[i]() == numbers[i] ? 1 : -1;
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		int value = functions[i]();

		if ((value == numbers[i]) == (more < 0))
			at += sysfs_emit_at(buffer, at, "%d: %d, code %*ph\n", numbers[i], value, 16,
					    (void *)functions[i]);
	}
	return at;
}

static const struct kernel_param_ops odd_ops = { .get = get_odd };
module_param_cb(odd, &odd_ops, NULL, 0444);
MODULE_PARM_DESC(odd, "Functions that are not as most are, and the first bytes of each");

static int __init klp_test_many_init(void)
{
	return 0;
}

static void __exit klp_test_many_exit(void)
{
}

module_init(klp_test_many_init);
module_exit(klp_test_many_exit);
MODULE_DESCRIPTION("Many functions");
MODULE_LICENSE("GPL");
