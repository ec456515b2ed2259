// SPDX-License-Identifier: GPL-2.0
/*
 * A module to be patched: two files in /proc whose contents come from two
 * functions of one name.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>

#include "klp_target.h"

static int __init klp_target_init(void)
{
	if (!proc_create_single("klp_target_first", 0, NULL, target_first_show))
		return -ENOMEM;
	if (!proc_create_single("klp_target_second", 0, NULL, target_second_show)) {
		remove_proc_entry("klp_target_first", NULL);
		return -ENOMEM;
	}
	return 0;
}

static void __exit klp_target_exit(void)
{
	remove_proc_entry("klp_target_second", NULL);
	remove_proc_entry("klp_target_first", NULL);
}

module_init(klp_target_init);
module_exit(klp_target_exit);
MODULE_DESCRIPTION("Livepatch sample: a module to be patched");
MODULE_LICENSE("GPL");
