// SPDX-License-Identifier: GPL-2.0
/*
 * warning\[static-copied\]: the patch has a variable 'counter\.[0-9]*' of its own, where object 'vmlinux' has
 * to use that of the object, declare it outside .*, with KLP_SYM_FILE\(vmlinux, counter\.[0-9]*, "inode.c"\)
 */
#include "mistake.h"
#include <linux/fs.h>

static ino_t new_iunique(struct super_block *sb, ino_t reserved)
{
	static unsigned int counter;

	return reserved + ++counter;
}

PATCH(NULL, "iunique", new_iunique);
