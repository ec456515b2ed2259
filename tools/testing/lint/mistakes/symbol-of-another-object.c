// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[patch-incomplete\]: .* livepatch relocations for 'klp_test_target', which is none of its objects
 */
#include "mistake.h"

extern int unique KLP_SYM(klp_test_target, klp_test_unique, 0);

static int new_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%d\n", unique);
	return 0;
}

PATCH(NULL, "cmdline_proc_show", new_show);
