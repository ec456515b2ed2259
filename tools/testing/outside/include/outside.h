/* SPDX-License-Identifier: GPL-2.0 */
#ifndef OUTSIDE_H
#define OUTSIDE_H

int outside_part(int x);

static inline int outside_twice(int x)
{
	return x * 2;
}

#endif
