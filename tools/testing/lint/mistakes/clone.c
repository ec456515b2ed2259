// SPDX-License-Identifier: GPL-2.0
/*
 * warning\[clone\]: it refers to '[^ ]*\.isra\.0', which the compiler made of '[^ ]*': its parameters need not be
 */
#include "mistake.h"

/* CLONE is one that this kernel has. */
extern int clone(int) __asm__(".klp.extern.vmlinux." CLONE "..0");

static int new_show(struct seq_file *file, void *unused)
{
	return clone(1);
}

PATCH(NULL, "cmdline_proc_show", new_show);
