// SPDX-License-Identifier: GPL-2.0
/* A patch that does not say that it is one. */
#define NO_FLAG
#include "klp_test_patch.c"
