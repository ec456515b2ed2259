// SPDX-License-Identifier: GPL-2.0
/*
 * A patch whose relocations refer to its target's own data and functions, of
 * which several have one name, and to the kernel's.
 */
#include <linux/klp_sym.h>
#include <linux/init.h>
#include <linux/livepatch.h>
#include <linux/module.h>

extern int counter_2 KLP_SYM(klp_test_target, shared_counter, 2);
extern int counter_3 KLP_SYM(klp_test_target, shared_counter, 3);
extern int value_3(void) KLP_SYM_FILE(klp_test_target, shared_value, "klp_test_target_3.c");
extern int unique KLP_SYM(klp_test_target, klp_test_unique, 0);

/* 64-bit data that is relocated late, and that the compiler has to read. */
int *klp_test_late_counters[] = { &counter_2, &counter_3 };

static int new_unique_value(void)
{
	/* 42, 3, and two counters that have counted alike. */
	return unique * 1000 + value_3() * 100 +
	       (*READ_ONCE(klp_test_late_counters[1]) - counter_2) / 100 +
	       (counter_3 - *READ_ONCE(klp_test_late_counters[0])) / 100 +
	       (saved_command_line[0] != '\0');
}

static struct klp_func functions[] = {
	{ .old_name = "unique_value", .new_func = new_unique_value },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_target", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_late_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_test_late_exit(void)
{
}

module_init(klp_test_late_init);
module_exit(klp_test_late_exit);
MODULE_DESCRIPTION("Livepatch tests: relocations that are applied late");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
