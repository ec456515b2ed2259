// SPDX-License-Identifier: GPL-2.0
/*
 * refused
 * error\[patch-incomplete\]: .* no module that is loaded is called 'klp-test-target': write 'klp_test_target'
 */
#include "mistake.h"

static int new_value(void)
{
	return 1;
}

PATCH("klp-test-target", "unique_value", new_value);
