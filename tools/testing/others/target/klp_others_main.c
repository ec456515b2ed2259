// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what others build: the module that is patched. What its functions
 * return is in /proc/klp_others.
 *
 * Both files have a function value() and a variable calls. The patch is for those of
 * klp_others_second.c: it names them by their position.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include "klp_others.h"

static int calls;

static noinline int value(void)
{
	return ++calls * 10 + 1;
}

static int show(struct seq_file *file, void *unused)
{
	seq_printf(file, "value %d %d\n", value(), klp_others_second());
	klp_others_special(file);
	return 0;
}

static int __init klp_others_init(void)
{
	return proc_create_single("klp_others", 0444, NULL, show) ? 0 : -ENOMEM;
}

static void __exit klp_others_exit(void)
{
	remove_proc_entry("klp_others", NULL);
}

module_init(klp_others_init);
module_exit(klp_others_exit);
MODULE_DESCRIPTION("Tests of what others build: the module that is patched");
MODULE_LICENSE("GPL");
