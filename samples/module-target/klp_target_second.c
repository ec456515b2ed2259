// SPDX-License-Identifier: GPL-2.0
/* The second of two files that have a function target_report() of their own. */
#include "klp_target.h"

static unsigned long reads = 1000;

static noinline void target_report(struct seq_file *file)
{
	seq_printf(file, "second: read %lu times\n", reads);
}

int target_second_show(struct seq_file *file, void *unused)
{
	reads++;
	target_report(file);
	return 0;
}
