/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Modules that are no livepatches: functions that call the kernel and each other, with
 * strings and data.
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/slab.h>

#define ORDINARY(number)                                                          \
	static int value_##number = number;                                       \
	noinline int ordinary_##number(char *buffer, int size);                   \
	noinline int ordinary_##number(char *buffer, int size)                    \
	{                                                                         \
		char *copy = kstrdup(buffer, GFP_KERNEL);                         \
		int written;                                                      \
									          \
		if (!copy)                                                        \
			return -ENOMEM;                                           \
		written = snprintf(buffer, size, "ordinary %d of %s: " #number "\n", \
				   value_##number++, copy);                       \
		kfree(copy);                                                      \
		return written;                                                   \
	}

MODULE_DESCRIPTION("An ordinary module");
MODULE_LICENSE("GPL");
