// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces what /proc/cmdline shows: the command line that the kernel was
 * started with, and a mark.
 *
 * saved_command_line is declared in <linux/init.h>, but not exported to
 * modules: the patch reaches it as a livepatch symbol.
 */
#include <linux/init.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int livepatch_cmdline_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%s livepatched=1\n", saved_command_line);
	return 0;
}

static struct klp_func functions[] = {
	{ .old_name = "cmdline_proc_show", .new_func = livepatch_cmdline_show },
	{ }
};

static struct klp_object objects[] = {
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init livepatch_cmdline_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit livepatch_cmdline_exit(void)
{
}

module_init(livepatch_cmdline_init);
module_exit(livepatch_cmdline_exit);
MODULE_DESCRIPTION("Livepatch sample: mark /proc/cmdline");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
