/* SPDX-License-Identifier: GPL-2.0 */
/* Init and exit functions that last until a test has seen what it wants to. */
#ifndef KLP_TEST_SLOW_H
#define KLP_TEST_SLOW_H

#include <linux/compiler.h>
#include <linux/delay.h>

/* last_while: the parameter is set, and for three minutes at most. */
static inline void last_while(const bool *slow)
{
	int i;

	for (i = 0; i < 3600 && READ_ONCE(*slow); i++)
		msleep(50);
}

#endif
