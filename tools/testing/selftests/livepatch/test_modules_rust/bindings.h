/* SPDX-License-Identifier: GPL-2.0 */
/* What is static in klp_test_target and in the kernel. */
#include <linux/klp_sym.h>
#include <linux/seq_file.h>

int cmdline_proc_show(struct seq_file *file, void *unused);

int unique_value(void);
int shared_value(void);

int value_3(void);
extern int unique;
extern int counter_2;
extern int counter_3;

/* What C has for it does in Rust, too. */
extern int counter_1 KLP_SYM(klp_test_target, shared_counter, 1);
