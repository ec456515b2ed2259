// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces the system call pause() by one that sleeps just so, and the functions of
 * klp_bench_blocked. The parameter sleeping is how many tasks are inside the new pause().
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sysfs.h>

#ifdef CONFIG_X86_64
#define SYS_PAUSE "__x64_sys_pause"
#else
#define SYS_PAUSE "__s390x_sys_pause"
#endif

static atomic_t sleeping;

static long new_pause(struct pt_regs *unused)
{
	atomic_inc(&sleeping);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (signal_pending(current))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	atomic_dec(&sleeping);
	return -ERESTARTNOHAND;
}

static noinline __noclone void new_called(void)
{
	asm volatile("");
}

static void new_sleep(void)
{
}

static int new_version(void)
{
	return 1;
}

static struct klp_func kernel_functions[] = {
	{ .old_name = SYS_PAUSE, .new_func = new_pause },
	{ }
};

static struct klp_func module_functions[] = {
	{ .old_name = "klp_bench_called", .new_func = new_called },
	{ .old_name = "klp_bench_sleep", .new_func = new_sleep },
	{ .old_name = "klp_bench_version", .new_func = new_version },
	{ }
};

static struct klp_object objects[] = {
	{ .funcs = kernel_functions },
	{ .name = "klp_bench_blocked", .funcs = module_functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int get_sleeping(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&sleeping));
}

static const struct kernel_param_ops sleeping_ops = { .get = get_sleeping };
module_param_cb(sleeping, &sleeping_ops, NULL, 0444);
MODULE_PARM_DESC(sleeping, "how many tasks are inside the new pause()");

static int __init klp_bench_unblock_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_bench_unblock_exit(void)
{
}

module_init(klp_bench_unblock_init);
module_exit(klp_bench_unblock_exit);
MODULE_DESCRIPTION("Is enabled while tasks are in the way");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
