// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[function-not-traced\]: failed to find location for function 'saved_command_line'
 * 'saved_command_line' is a variable, no function
 */
#include "mistake.h"

static long new_line(void)
{
	return 1;
}

PATCH(NULL, "saved_command_line", new_line);
