// SPDX-License-Identifier: GPL-2.0
/* The first of two files that have a function target_report() of their own. */
#include "klp_target.h"

static unsigned long reads;

static noinline void target_report(struct seq_file *file)
{
	seq_printf(file, "first: read %lu times\n", reads);
}

int target_first_show(struct seq_file *file, void *unused)
{
	reads++;
	target_report(file);
	return 0;
}
