// SPDX-License-Identifier: GPL-2.0

#include <linux/bug.h>
#include <linux/export.h>
#include <linux/printk.h>
#include "outside.h"
#include "outside_generated.h"

static noinline int scaled(int x)
{
	WARN_ON_ONCE(x < 0);
	return x * OUTSIDE_SCALE;
}

int outside_part(int x)
{
	/* Where the module was built is a part of its code. */
	if (x > 1000)
		pr_info("%s: large: %d\n", __FILE__, x);
	return scaled(x) + outside_twice(x) + OUTSIDE_GENERATED;
}
EXPORT_SYMBOL_GPL(outside_part);
