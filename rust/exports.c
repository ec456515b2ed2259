// SPDX-License-Identifier: GPL-2.0
/*
 * What needs the kernel's C macros: exports and parameters.
 */
#include <linux/moduleparam.h>
#include <linux/spinlock.h>

#include "../include/linux/livepatch.h"

unsigned int livepatch_debug;
module_param_named(debug, livepatch_debug, uint, 0644);
MODULE_PARM_DESC(debug, "Log: 1 the steps of transitions, 2 also the tasks in their way (default: 0)");

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
