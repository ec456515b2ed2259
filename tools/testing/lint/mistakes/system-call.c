// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[symbol-not-found\]: symbol 'sys_getpid' not found in symbol table
 * the function of that system call is '__(x64|s390x)_sys_getpid'
 */
#include "mistake.h"

static long new_getpid(void)
{
	return 1;
}

PATCH(NULL, "sys_getpid", new_getpid);
