/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KLP_TEST_IN_USE_H
#define KLP_TEST_IN_USE_H

#include <linux/sched.h>

/*
 * What a function does that nearly never happens, apart from the rest of it: function.cold. On
 * x86 gcc splits off by itself what leads to a call of something cold. clang does not, nor does
 * gcc for s390: there it is a function that is left for as the last thing.
 */
#if defined(CONFIG_CC_IS_GCC) && defined(CONFIG_X86)
typeof(schedule_timeout_idle) schedule_cold_timeout asm("schedule_timeout_idle") __cold;
#define COLD_PART(function) static __always_inline int function##_cold_part(void)
#else
#define schedule_cold_timeout schedule_timeout_idle
#define COLD_PART(function)                                       \
	static int function##_cold_part(void) asm(#function ".cold"); \
	static noinline notrace __section(".text.unlikely") int function##_cold_part(void)
#endif

/*
 * Sleeps, deaf to signals, until the parameter release is set. Only the function that contains
 * this is on the stack.
 */
#define SLEEP_UNTIL_RELEASED(schedule)              \
	do {                                        \
		WRITE_ONCE(sleepers, sleepers + 1); \
		do                                  \
			schedule(HZ / 20);          \
		while (!READ_ONCE(release));        \
		WRITE_ONCE(sleepers, sleepers - 1); \
	} while (0)

#endif
