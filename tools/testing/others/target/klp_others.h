/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/seq_file.h>

/* In klp_others_second.c. */
int klp_others_second(void);
void klp_others_special(struct seq_file *file);
