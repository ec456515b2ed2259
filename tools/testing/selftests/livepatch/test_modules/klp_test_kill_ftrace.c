// SPDX-License-Identifier: GPL-2.0
/*
 * A patch that switches ftrace off, as a fault of its own does, until the next boot, before it is
 * enabled.
 */
#include <linux/ftrace.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_cmdline_show(struct seq_file *file, void *unused)
{
	seq_puts(file, "ftrace is off\n");
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

static int __init klp_test_kill_ftrace_init(void)
{
	ftrace_kill();
	return klp_enable_patch(&patch);
}

static void __exit klp_test_kill_ftrace_exit(void)
{
}

module_init(klp_test_kill_ftrace_init);
module_exit(klp_test_kill_ftrace_exit);
MODULE_DESCRIPTION("Livepatch tests: ftrace fails");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
