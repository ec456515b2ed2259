/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A nap: a task is in a function, which there is in several versions, and calls another one
 * when it comes and when it goes. What it calls must be of its own version both times.
 * Version 0 is klp_test_naps, the others are patches of that.
 */
#ifndef KLP_TEST_NAP_H
#define KLP_TEST_NAP_H

#include <linux/compiler.h>

#define KLP_TEST_VERSIONS 4
/* What a nap is in which other versions were called than its own. */
#define KLP_TEST_MIXED -1

struct klp_test_nap {
	int how;
	/* Both are the target's: klp_test_step(), and what is never patched. */
	int (*step)(void);
	void (*sleep)(struct klp_test_nap *nap, int version);
};

int klp_test_step(void);
int klp_test_nap(struct klp_test_nap *nap);

/* In the function itself, which has to be on the stack. */
static __always_inline int klp_test_nap_as(int version, struct klp_test_nap *nap)
{
	bool same = nap->step() == version;

	nap->sleep(nap, version);
	return same && nap->step() == version ? version : KLP_TEST_MIXED;
}

#endif
