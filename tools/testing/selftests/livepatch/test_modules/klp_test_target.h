/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KLP_TEST_TARGET_H
#define KLP_TEST_TARGET_H

/* The callers of three functions named shared_value(), one in each file. */
int call_shared_value_1(void);
int call_shared_value_2(void);
int call_shared_value_3(void);

#endif
