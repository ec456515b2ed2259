/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included by three files, each of which defines WHICH: functions and data of
 * the same names in one module.
 */
#include <linux/compiler.h>
#include <linux/module.h>

#include "klp_test_target.h"

static int shared_counter = 100 * WHICH;

static noinline int shared_value(void)
{
	/* Something that the compiler cannot foresee. */
	return READ_ONCE(shared_counter) / 100;
}

#define CALLER_NAME(which) call_shared_value_##which
#define CALLER(which) CALLER_NAME(which)

int CALLER(WHICH)(void)
{
	/* The hundreds tell which one it is, however often it was called. */
	WRITE_ONCE(shared_counter, 100 * WHICH + (READ_ONCE(shared_counter) + 1) % 100);
	return shared_value();
}
