// SPDX-License-Identifier: GPL-2.0
/* In a file of their own: where they are called, the compiler must know nothing of them. */
#include "klp_test_nap.h"

static int zero;

int klp_test_step(void)
{
	return READ_ONCE(zero);
}

int klp_test_nap(struct klp_test_nap *nap)
{
	return klp_test_nap_as(0, nap);
}
