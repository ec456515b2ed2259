// SPDX-License-Identifier: GPL-2.0
/*
 * How long a machine is up and how busy it is tells its users what others do. This patch
 * replaces what /proc/uptime and /proc/loadavg say by numbers that are made up: for each
 * task others, and always the same.
 *
 * Of the kernel it needs what is exported, and nothing else.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/once.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/siphash.h>

static unsigned int limit = 1000;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "No number is as large as this");

static siphash_aligned_key_t secret __read_mostly;

static unsigned int made_up(u64 what)
{
	get_random_once(&secret, sizeof(secret));
	return siphash_2u64(what, task_pid_nr(current), &secret) % limit;
}

static int hide_uptime_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%u.00 %u.00\n", made_up(1), made_up(2));
	return 0;
}

static int hide_loadavg_show(struct seq_file *file, void *unused)
{
	unsigned int load = made_up(3);

	seq_printf(file, "%u.00 %u.00 %u.00 1/1 %d\n", load, load, load, task_pid_nr(current));
	return 0;
}

static struct klp_func vmlinux_funcs[] = {
	{ .old_name = "uptime_proc_show", .new_func = hide_uptime_show, },
	{ .old_name = "loadavg_proc_show", .new_func = hide_loadavg_show, },
	{ },
};

static struct klp_object objs[] = {
	{ .funcs = vmlinux_funcs, },
	{ },
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init hide_load_init(void)
{
	if (!limit)
		return -EINVAL;
	pr_info("hiding, below %u\n", limit);
	return klp_enable_patch(&patch);
}

static void __exit hide_load_exit(void)
{
	pr_info("not hiding any more\n");
}

module_init(hide_load_init);
module_exit(hide_load_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Hides uptime and load from users");
