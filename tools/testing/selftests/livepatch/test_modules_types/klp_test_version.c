// SPDX-License-Identifier: GPL-2.0
/*
 * A function of the kernel, for its type: the test kernels are built without debug
 * information. The module is not loaded.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>

/* Modules have another one, which fs/proc/internal.h does not take. */
#define PROC_ENTRY_PERMANENT (1U << 0)
#include "fs/proc/version.c"

MODULE_DESCRIPTION("Livepatch tests: a function of the kernel");
MODULE_LICENSE("GPL");
