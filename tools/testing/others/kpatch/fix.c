// SPDX-License-Identifier: GPL-2.0
/*
 * The new functions, for the kernel and for klp_others_target, and what says so.
 */
#include <linux/init.h>
#include <linux/klp_sym.h>
#include <linux/seq_file.h>
#include <trace/events/sched.h>
#include "kpatch.h"

extern int calls KLP_SYM(klp_others_target, calls, 2);
extern bool warn KLP_SYM(klp_others_target, warn, 0);

#include "../klp_others_special.h"
#include "../klp_others_callbacks.h"

KPATCH_STRING(vmlinux, "vmlinux");
KPATCH_STRING(target, "klp_others_target");

static int new_value(void)
{
	return ++calls * 10 + 2000;
}
KPATCH_STRING(value, "value");
KPATCH_FUNCTION(new_value, 2, value, target);

KPATCH_STRING(special, "klp_others_special");
KPATCH_FUNCTION(klp_others_special, 0, special, target);

/* A tracepoint of the kernel's has a static key and, on some machines, a static call. */
static int new_version_show(struct seq_file *file, void *unused)
{
	trace_sched_process_free(current);
	seq_printf(file, "kpatch: %s\n", saved_command_line);
	return 0;
}
KPATCH_STRING(version_show, "version_proc_show");
KPATCH_FUNCTION(new_version_show, 0, version_show, vmlinux);

KPATCH_CALLBACK(pre_patch, pre_patch, target);
KPATCH_CALLBACK(post_patch, post_patch, target);
KPATCH_CALLBACK(pre_unpatch, pre_unpatch, target);
KPATCH_CALLBACK(post_unpatch, post_unpatch, target);
