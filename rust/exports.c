// SPDX-License-Identifier: GPL-2.0
/*
 * What needs the kernel's C macros: exports and parameters.
 */
#include <linux/bug.h>
#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>

#include "../include/linux/livepatch.h"

/* That of the project, which tools/klp/Cargo.toml has as well. */
MODULE_VERSION("0.1.0");

unsigned int livepatch_debug;
module_param_named(debug, livepatch_debug, uint, 0644);
MODULE_PARM_DESC(debug, "Log: 1 the steps of transitions, 2 also the tasks in their way (default: 0)");

bool livepatch_direct = true;
module_param_named(direct, livepatch_direct, bool, 0644);
MODULE_PARM_DESC(direct, "Functions that are patched from now on are entered by jumps where ftrace can do that (default: Y)");

unsigned int livepatch_signal_after = 2000;
module_param_named(signal_after, livepatch_signal_after, uint, 0644);
MODULE_PARM_DESC(signal_after, "Milliseconds after which tasks in the way are interrupted (default: 2000)");

#ifdef CONFIG_S390
/* The handler of ftrace asks for it, so that it must not be traced itself. */
struct task_struct *livepatch_current(void);

notrace struct task_struct *livepatch_current(void)
{
	return current;
}
NOKPROBE_SYMBOL(livepatch_current);
#endif

/* Files that only root reads. While one is open it keeps the module. */
int livepatch_debug_show(struct seq_file *file, void *unused);
DEFINE_SHOW_ATTRIBUTE(livepatch_debug);
void livepatch_create_debug_file(struct dentry *dir, const char *name, void *shown);

void livepatch_create_debug_file(struct dentry *dir, const char *name, void *shown)
{
	debugfs_create_file(name, 0400, dir, shown, &livepatch_debug_fops);
}

void livepatch_warn(void);

void livepatch_warn(void)
{
	WARN_ON(1);
}

/* Guards the writing of shadow variables; the kernel crate has no such lock. */
static DEFINE_SPINLOCK(shadow_lock);
unsigned long livepatch_shadow_lock(void);
void livepatch_shadow_unlock(unsigned long flags);

unsigned long livepatch_shadow_lock(void)
{
	unsigned long flags;

	spin_lock_irqsave(&shadow_lock, flags);
	return flags;
}

void livepatch_shadow_unlock(unsigned long flags)
{
	spin_unlock_irqrestore(&shadow_lock, flags);
}

EXPORT_SYMBOL_GPL(klp_enable_patch);
EXPORT_SYMBOL_GPL(klp_find_section_by_name);
EXPORT_SYMBOL_GPL(klp_get_prev_state);
EXPORT_SYMBOL_GPL(klp_get_state);
EXPORT_SYMBOL_GPL(klp_shadow_alloc);
EXPORT_SYMBOL_GPL(klp_shadow_free);
EXPORT_SYMBOL_GPL(klp_shadow_free_all);
EXPORT_SYMBOL_GPL(klp_shadow_get);
EXPORT_SYMBOL_GPL(klp_shadow_get_or_alloc);
