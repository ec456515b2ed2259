/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Empty functions, and calls of them in loops, between points that are counted: 0 an empty
 * loop 1 calls of a function that nothing patches 2 calls of one that may be 3
 */
#ifndef KLP_BENCH_CALLS_H
#define KLP_BENCH_CALLS_H

#include <linux/irqflags.h>

#include "mark.h"

#define CALLS 10000

#define FUNCTION(name)                    \
	noinline __noclone void name(void); \
	noinline __noclone void name(void)  \
	{                                   \
		asm volatile("");           \
	}

/* what(00) to what(99) */
#define TEN(what, n)                                              \
	what(n##0) what(n##1) what(n##2) what(n##3) what(n##4) \
	what(n##5) what(n##6) what(n##7) what(n##8) what(n##9)
#define HUNDRED(what)                                                        \
	TEN(what, 0) TEN(what, 1) TEN(what, 2) TEN(what, 3) TEN(what, 4) \
	TEN(what, 5) TEN(what, 6) TEN(what, 7) TEN(what, 8) TEN(what, 9)

static __always_inline void count_calls(void (*unpatched)(void), void (*patched)(void))
{
	unsigned long flags;
	int i;

	/* Only what is to be counted runs in the meantime. */
	local_irq_save(flags);
	mark_point(0);
	for (i = 0; i < CALLS; i++)
		asm volatile("" : "+r"(i));
	mark_point(1);
	for (i = 0; i < CALLS; i++) {
		asm volatile("" : "+r"(i));
		unpatched();
	}
	mark_point(2);
	for (i = 0; i < CALLS; i++) {
		asm volatile("" : "+r"(i));
		patched();
	}
	mark_point(3);
	local_irq_restore(flags);
}

#endif
