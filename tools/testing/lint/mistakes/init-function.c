// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[symbol-freed\]: symbol 'start_kernel' in object 'vmlinux' is init code or data, which is freed
 */
#include "mistake.h"

static void new_start(void)
{
}

PATCH(NULL, "start_kernel", new_start);
