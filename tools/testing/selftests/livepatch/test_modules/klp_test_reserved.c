// SPDX-License-Identifier: GPL-2.0
/*
 * A patch that uses a variable and a function which the kernel exports to modules of
 * other names only (EXPORT_SYMBOL_FOR_MODULES()): for a patch they are not exported.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/user_namespace.h>

static int new_cmdline_show(struct seq_file *file, void *unused)
{
	struct ucounts *counts;

	/* For printf_kunit. */
	seq_printf(file, "kptr_restrict %d", kptr_restrict);
	/* For binfmt_misc: counts one more, and one less. */
	counts = inc_ucount(current_user_ns(), current_euid(), UCOUNT_USER_NAMESPACES);
	seq_printf(file, ", counted %d\n", counts != NULL);
	if (counts)
		dec_ucount(counts, UCOUNT_USER_NAMESPACES);
	return 0;
}

static struct klp_func functions[] = {
	{ .old_name = "cmdline_proc_show", .new_func = new_cmdline_show },
	{ }
};

static struct klp_object objects[] = {
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_reserved_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_test_reserved_exit(void)
{
}

module_init(klp_test_reserved_init);
module_exit(klp_test_reserved_exit);
MODULE_DESCRIPTION("Livepatch tests: symbols that are exported to others only");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
