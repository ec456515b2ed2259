// SPDX-License-Identifier: GPL-2.0
/*
 * warning\[function-always-running\]: some task is always in 'do_idle'
 */
#include "mistake.h"

static void new_idle(void)
{
}

PATCH(NULL, "do_idle", new_idle);
