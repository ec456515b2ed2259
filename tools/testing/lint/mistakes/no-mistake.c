// SPDX-License-Identifier: GPL-2.0
/*
 */
#include "mistake.h"

extern int show(struct seq_file *, void *) KLP_SYM_FILE(vmlinux, meminfo_proc_show, "fs/proc/meminfo.c");

static int new_show(struct seq_file *file, void *unused)
{
	return show(file, unused);
}

PATCH(NULL, "cmdline_proc_show", new_show);
