/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KLP_TEST_VISIT_H
#define KLP_TEST_VISIT_H

/*
 * One call of klp_test_outer(), which is patched together with the functions that are called
 * while it is on the stack.
 */
struct klp_test_visit {
	/* Calls the others; for the outer function, which says its version. */
	void (*tour)(struct klp_test_visit *visit, int version);
	/* Calls one of them again: the last thing that the outer function has done. */
	void (*farewell)(struct klp_test_visit *visit);
	/* What only the target knows. */
	int context;
	int rounds;
	int version;
	int mixed;
};

#endif
