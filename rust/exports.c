// SPDX-License-Identifier: GPL-2.0
/*
 * What needs the kernel's C macros: exports and parameters.
 */
#include <linux/moduleparam.h>

#include "../include/linux/livepatch.h"

bool livepatch_debug;
module_param_named(debug, livepatch_debug, bool, 0644);
MODULE_PARM_DESC(debug, "Print what the transition does (default: off)");

EXPORT_SYMBOL_GPL(klp_enable_patch);
