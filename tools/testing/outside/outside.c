// SPDX-License-Identifier: GPL-2.0

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>
#include "outside.h"

static int value_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%d\n", outside_part(10));
}

static const struct kernel_param_ops value_ops = { .get = value_get };

module_param_cb(value, &value_ops, NULL, 0444);
MODULE_PARM_DESC(value, "a number that a fix changes");
MODULE_DESCRIPTION("A module that is not in the kernel's source");
MODULE_LICENSE("GPL");
