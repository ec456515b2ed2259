// SPDX-License-Identifier: GPL-2.0
/*
 * warning\[symbol-of-another-file\]: 'meminfo_proc_show' is a static one of 'meminfo.c', .* are of 'cmdline.c'
 * say so: KLP_SYM_FILE\(vmlinux, meminfo_proc_show, "meminfo.c"\)
 */
#include "mistake.h"

int meminfo_proc_show(struct seq_file *file, void *unused);

static int new_show(struct seq_file *file, void *unused)
{
	return meminfo_proc_show(file, unused);
}

PATCH(NULL, "cmdline_proc_show", new_show);
