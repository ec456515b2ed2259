// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[symbol-freed\]: symbol 'boot_command_line' in object 'vmlinux' is init code or data, which is freed
 * error\[symbol-freed\]: module 'init_data': section .klp.rela.vmlinux.text: relocations not applied
 */
#include "mistake.h"
#include <linux/init.h>

static int new_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%s\n", boot_command_line);
	return 0;
}

PATCH(NULL, "cmdline_proc_show", new_show);
