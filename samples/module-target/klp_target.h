/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KLP_TARGET_H
#define KLP_TARGET_H

#include <linux/seq_file.h>

int target_first_show(struct seq_file *file, void *unused);
int target_second_show(struct seq_file *file, void *unused);

#endif
