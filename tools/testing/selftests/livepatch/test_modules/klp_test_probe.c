// SPDX-License-Identifier: GPL-2.0
/*
 * A kprobe with a post-handler: at the start of a function it is one of those users
 * of ftrace that say where a call goes on, of which a function can have only one.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static char *symbol = "unique_value";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "The function to be probed");

static int hits;
module_param(hits, int, 0444);
MODULE_PARM_DESC(hits, "How often it was called");

static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
	hits++;
}

static struct kprobe probe = { .post_handler = after };

static int __init klp_test_probe_init(void)
{
	probe.symbol_name = symbol;
	return register_kprobe(&probe);
}

static void __exit klp_test_probe_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(klp_test_probe_init);
module_exit(klp_test_probe_exit);
MODULE_DESCRIPTION("Livepatch tests: a probe that redirects");
MODULE_LICENSE("GPL");
