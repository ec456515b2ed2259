/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/seq_file.h>

/* Static in the kernel: no header has it. */
int cmdline_proc_show(struct seq_file *file, void *unused);
