// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces the second function target_report() of the module klp_target.
 *
 * Both that function and the counter that it prints stand there twice under
 * their names, once a file: a position says which. The patch can be loaded before
 * its target, which gets patched when it comes.
 */
#include <linux/klp_sym.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

extern unsigned long second_reads KLP_SYM(klp_target, reads, 2);

static void livepatch_target_report(struct seq_file *file)
{
	seq_printf(file, "second: read %lu times (livepatched)\n", second_reads);
}

static struct klp_func functions[] = {
	{
		.old_name = "target_report",
		.new_func = livepatch_target_report,
		.old_sympos = 2,
	},
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_target", .funcs = functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init livepatch_target_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit livepatch_target_exit(void)
{
}

module_init(livepatch_target_init);
module_exit(livepatch_target_exit);
MODULE_DESCRIPTION("Livepatch sample: patch a function of another module");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
