// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[function-not-traced\]: failed to find location for function 'kstrtobool'
 * there is no call of ftrace in it: it is notrace, noinstr or assembly, or .* is compiled without tracing
 */
#include "mistake.h"

static int new_kstrtobool(const char *text, bool *result)
{
	return -EINVAL;
}

PATCH(NULL, "kstrtobool", new_kstrtobool);
