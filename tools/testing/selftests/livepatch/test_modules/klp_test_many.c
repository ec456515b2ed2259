// SPDX-License-Identifier: GPL-2.0
/*
 * Many functions that belong together. Reading the parameter results calls all of them and
 * tells how many were the old ones, the new ones, and neither. An old one that is the emulator's,
 * see is_stale(), counts as new.
 */
#include <linux/delay.h>
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

struct counts {
	int old, new, wrong;
};

static struct counts count(void)
{
	struct counts counts = {};
	int i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		int value = functions[i]();

		if (value == numbers[i])
			counts.old++;
		else if (value == numbers[i] + MORE)
			counts.new++;
		else
			counts.wrong++;
	}
	return counts;
}

/* What a function returns that is as most were. */
static int usual(int i, const struct counts *counts)
{
	return numbers[i] + (counts->old < counts->new ? MORE : 0);
}

/*
 * Whether an old function among new ones is the emulator's: QEMU can go on with a translation of
 * what was there before another processor wrote, as klp_test_int3.c has it. On s390 the branch at
 * the beginning is written once, and no later write of the kernel's drops that translation.
 *
 * After an interrupt a processor runs what memory holds. To write that again as it is changes
 * nothing for it, but makes the emulator translate it anew.
 */
static bool is_stale(int i, const struct counts *counts)
{
#ifdef CONFIG_S390
	/* The second half of the function, which nobody else writes to, and the translation covers. */
	unsigned long place = (unsigned long)functions[i] + 8;
	unsigned long code = READ_ONCE(*(unsigned long *)place);
	int round;

	if (!IS_ALIGNED(place, 8))
		return false;
	for (round = 0; round < 1000; round++) {
		if (functions[i]() != numbers[i])
			return false;
		udelay(50);
	}
	asm volatile("	lra	%[place],0(%[place])\n"
		     "	sturg	%[code],%[place]"
		     : [place] "+&a"(place)
		     : [code] "d"(code)
		     : "cc", "memory");
	if (functions[i]() != usual(i, counts))
		return false;
	pr_info("%ps ran as it was before, until it was written again as it is\n", functions[i]);
	return true;
#else
	return false;
#endif
}

static int get_results(char *buffer, const struct kernel_param *parameter)
{
	struct counts counts;
	int i;

	/* Nothing is switched meanwhile: all are of one side. */
	preempt_disable();
	counts = count();
	if (counts.old == 1 && counts.new) {
		for (i = 0; i < ARRAY_SIZE(functions); i++) {
			if (functions[i]() == usual(i, &counts))
				continue;
			if (is_stale(i, &counts)) {
				counts.old--;
				counts.new++;
			}
			break;
		}
	}
	preempt_enable();
	return sysfs_emit(buffer, "%d %d %d\n", counts.old, counts.new, counts.wrong);
}

static const struct kernel_param_ops results_ops = { .get = get_results };
module_param_cb(results, &results_ops, NULL, 0444);
MODULE_PARM_DESC(results, "How many functions are old, new, and neither");

/* Which functions are not as most are, with the beginning of their code. */
static int get_odd(char *buffer, const struct kernel_param *parameter)
{
	struct counts counts = count();
	int i, at = 0;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		int value = functions[i]();

		if (value != usual(i, &counts))
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
