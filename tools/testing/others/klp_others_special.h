/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A new klp_others_special(), which has an entry in each of the tables that the kernel
 * reads of a module: alternatives, jump labels, static calls, exceptions, bugs. Which of
 * them work is what it prints. To be read where there is a variable warn.
 */
#include <linux/jump_label.h>
#include <linux/seq_file.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <asm/alternative.h>

static DEFINE_STATIC_KEY_FALSE(klp_others_key);

static int before_switch(void)
{
	return 10;
}

static int after_switch(void)
{
	return 20;
}

DEFINE_STATIC_CALL(klp_others_call, before_switch);

/* 1, until alternatives are applied. */
static __always_inline int alternative_value(void)
{
	int value;

#ifdef CONFIG_S390
	asm volatile(ALTERNATIVE("lhi %0,1", "lhi %0,2", ALT_FACILITY(0)) : "=d"(value));
#else
	asm volatile(ALTERNATIVE("movl $1, %0", "movl $2, %0", X86_FEATURE_ALWAYS) : "=r"(value));
#endif
	return value;
}

/* What the kernel cannot read. */
static __always_inline int exception_value(void)
{
	long value;

	__get_kernel_nofault(&value, (void *)-PAGE_SIZE, long, fault);
	return 0;
fault:
	return -EFAULT;
}

void klp_others_special(struct seq_file *file);

noinline void klp_others_special(struct seq_file *file)
{
	seq_printf(file, "special key %d call %d alternative %d exception %d\n",
		   static_branch_unlikely(&klp_others_key) ? 1 : 0, static_call(klp_others_call)(),
		   alternative_value(), exception_value());
	WARN_ON_ONCE(warn);
}

/* To be called by callbacks. */
static void klp_others_switch(bool on)
{
	if (on) {
		static_branch_enable(&klp_others_key);
		static_call_update(klp_others_call, after_switch);
	} else {
		static_branch_disable(&klp_others_key);
		static_call_update(klp_others_call, before_switch);
	}
}
