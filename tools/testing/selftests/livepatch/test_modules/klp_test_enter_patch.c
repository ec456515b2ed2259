// SPDX-License-Identifier: GPL-2.0
/*
 * Patches a function that tasks sleep in; the parameter kind says which one. Tasks sleep in
 * the new ones, too, until there is a signal, as klp_tasks does everything again and again.
 * A task named klp_probe is told at once that it has got to the new function.
 */
#include <linux/klp_sym.h>
#include <linux/ktime.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

/* What the new functions tell klp_probe; it is not what any of the old ones returns. */
#define IS_NEW -ENOTNAM

#ifdef CONFIG_S390
#define SYSCALL(name) "__s390x_sys_" #name
#else
#define SYSCALL(name) "__x64_sys_" #name
#endif

static char *kind = "pause";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "What the function is for");

static __always_inline bool probing(void)
{
	return !strcmp(current->comm, "klp_probe");
}

/* Inlined: the new function itself has to be on the stack. */
static __always_inline long sleep_on(long interrupted)
{
	if (probing())
		return IS_NEW;
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (signal_pending(current))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return interrupted;
}

static long new_pause(const struct pt_regs *unused)
{
	return sleep_on(-ERESTARTNOHAND);
}

struct epoll_event;
struct timespec64;
static int new_epoll_wait(int epfd, struct epoll_event __user *events, int maxevents,
			  struct timespec64 *timeout)
{
	return sleep_on(-EINTR);
}

struct pollfd;
static int new_poll(struct pollfd __user *fds, unsigned int count, struct timespec64 *end_time)
{
	return sleep_on(-ERESTARTNOHAND);
}

static int new_futex_wait(u32 __user *word, unsigned int flags, u32 value, ktime_t *end_time,
			  u32 bitset)
{
	return sleep_on(-ERESTARTSYS);
}

struct kiocb;
struct iov_iter;
static ssize_t new_fifo_read(struct kiocb *iocb, struct iov_iter *to)
{
	return sleep_on(-ERESTARTSYS);
}

struct tty_struct;
static ssize_t new_tty_read(struct tty_struct *tty, struct file *file, u8 *buffer, size_t size,
			    void **cookie, unsigned long offset)
{
	return sleep_on(-ERESTARTSYS);
}

struct socket;
struct msghdr;
static int new_unix_read(struct socket *sock, struct msghdr *msg, size_t size, int flags)
{
	return sleep_on(-ERESTARTSYS);
}

struct wait_opts;
extern long wait_once(struct wait_opts *wo) KLP_SYM(vmlinux, __do_wait, 0);

/* Every shell waits, those that run the tests included: this one has to work. */
static long new_wait(struct wait_opts *wo)
{
	long result;

	if (probing())
		return IS_NEW;
	for (;;) {
		result = wait_once(wo);
		if (result != -ERESTARTSYS || signal_pending(current))
			return result;
		schedule_timeout_interruptible(HZ / 50);
	}
}

struct io_ring_ctx;
struct ext_arg;
static int new_ring_wait(struct io_ring_ctx *ctx, int min_events, u32 flags, struct ext_arg *arg)
{
	return sleep_on(-EINTR);
}

/* Of system calls that nobody uses but klp_tasks. */
static long new_call(const struct pt_regs *unused)
{
	return IS_NEW;
}

static const struct {
	const char *kind;
	const char *function;
	void *new_function;
} kinds[] = {
	{ "pause", SYSCALL(pause), new_pause },
	{ "epoll", "do_epoll_wait", new_epoll_wait },
	{ "poll", "do_sys_poll", new_poll },
	{ "futex", "futex_wait", new_futex_wait },
	{ "fifo", "fifo_pipe_read", new_fifo_read },
	{ "tty", "n_tty_read", new_tty_read },
	{ "unix", "unix_stream_recvmsg", new_unix_read },
	{ "wait", "do_wait", new_wait },
	{ "ring", "io_cqring_wait", new_ring_wait },
	/* On s390 they jump to what they do, and are on no stack. */
	{ "vfork", SYSCALL(vfork), new_call },
	{ "fork", SYSCALL(fork), new_call },
	{ "exit", SYSCALL(exit), new_call },
	{ "exec", SYSCALL(execveat), new_call },
};

static char *function;
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "The name that the function has, where the compiler has given it another one");

static struct klp_func functions[2];

static struct klp_object objects[] = {
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_enter_patch_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].kind, kind))
			continue;
		functions[0].old_name = function ?: kinds[i].function;
		functions[0].new_func = kinds[i].new_function;
		return klp_enable_patch(&patch);
	}
	return -EINVAL;
}

static void __exit klp_test_enter_patch_exit(void)
{
}

module_init(klp_test_enter_patch_init);
module_exit(klp_test_enter_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: patch functions that tasks sleep in");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
