// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of a function go through a trampoline of this module, which does as one of BPF's does.
 * While nobody redirects the function, the trampoline goes on in the original by itself. When
 * somebody begins to, ftrace asks for another one, which goes on where ftrace says.
 *
 * With the parameter hold, whoever comes through one of them is held there.
 */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <asm/asm-offsets.h>

static char *symbol = "unique_value";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "The function");

static bool hold;
module_param(hold, bool, 0644);
MODULE_PARM_DESC(hold, "Holds those that come");

static bool release;
module_param(release, bool, 0644);
MODULE_PARM_DESC(release, "Lets those go that are held");

static int sleepers;
module_param(sleepers, int, 0444);
MODULE_PARM_DESC(sleepers, "How many are held");

static uint refusals;
module_param(refusals, uint, 0644);
MODULE_PARM_DESC(refusals, "How often to say that it is to be tried again when somebody redirects the function");

/* Behind the function's call site. */
extern unsigned long klp_test_after;
unsigned long klp_test_after;

void klp_test_hold(void);
void klp_test_fixed(void);
void klp_test_shared(void);

/* Called by both trampolines; deaf to signals. */
void klp_test_hold(void)
{
	if (!READ_ONCE(hold))
		return;
	WRITE_ONCE(sleepers, sleepers + 1);
	do
		schedule_timeout_idle(HZ / 20);
	while (!READ_ONCE(release));
	WRITE_ONCE(sleepers, sleepers - 1);
}

#ifdef CONFIG_X86_64
#include <asm/ibt.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#define HOLD                        \
	"	pushq %rbp\n"       \
	"	movq %rsp, %rbp\n"  \
	"	pushq %rdi\n"       \
	"	pushq %rsi\n"       \
	"	pushq %rdx\n"       \
	"	pushq %rcx\n"       \
	"	pushq %r8\n"        \
	"	pushq %r9\n"        \
	"	call klp_test_hold\n" \
	"	popq %r9\n"         \
	"	popq %r8\n"         \
	"	popq %rcx\n"        \
	"	popq %rdx\n"        \
	"	popq %rsi\n"        \
	"	popq %rdi\n"        \
	"	popq %rbp\n"

/*
 * The first one is jumped to, where ftrace can do that. Until it goes on in the original,
 * nothing of that is on the stack.
 */
asm("	.pushsection .text, \"ax\", @progbits\n"
    "	.type klp_test_fixed, @function\n"
    "	.globl klp_test_fixed\n"
    "	.balign 16\n"
    "klp_test_fixed:\n" ASM_ENDBR CALL_DEPTH_ACCOUNT HOLD
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_JMP
    "	pushq klp_test_after(%rip)\n" UNWIND_HINT_FUNC
#endif
    ASM_RET
    "	.size klp_test_fixed, . - klp_test_fixed\n"
    "	.type klp_test_shared, @function\n"
    "	.globl klp_test_shared\n"
    "	.balign 16\n"
    "klp_test_shared:\n" ASM_ENDBR CALL_DEPTH_ACCOUNT HOLD ASM_RET
    "	.size klp_test_shared, . - klp_test_shared\n"
    "	.popsection\n");
#endif

#ifdef CONFIG_S390
#define HOLD                                                             \
	"	lgr %r1,%r15\n"                                          \
	"	stmg %r0,%r6," __stringify(__SF_GPRS) "(%r15)\n"         \
	"	stg %r14," __stringify(__SF_GPRS + 8 * 8) "(%r15)\n"     \
	"	aghi %r15," __stringify(-STACK_FRAME_OVERHEAD) "\n"      \
	"	stg %r1," __stringify(__SF_BACKCHAIN) "(%r15)\n"         \
	"	brasl %r14,klp_test_hold\n"                              \
	"	aghi %r15," __stringify(STACK_FRAME_OVERHEAD) "\n"       \
	"	lmg %r0,%r6," __stringify(__SF_GPRS) "(%r15)\n"          \
	"	lg %r14," __stringify(__SF_GPRS + 8 * 8) "(%r15)\n"

/* Where ftrace says is in %r0. The first one does not keep that. */
asm("	.pushsection .text, \"ax\", @progbits\n"
    "	.type klp_test_fixed, @function\n"
    "	.globl klp_test_fixed\n"
    "	.balign 16\n"
    "klp_test_fixed:\n"
    "	lghi %r0,0\n" HOLD
    "	lgrl %r1,klp_test_after\n"
    "	br %r1\n"
    "	.size klp_test_fixed, . - klp_test_fixed\n"
    "	.type klp_test_shared, @function\n"
    "	.globl klp_test_shared\n"
    "	.balign 16\n"
    "klp_test_shared:\n" HOLD
    "	lgr %r1,%r0\n"
    "	br %r1\n"
    "	.size klp_test_shared, . - klp_test_shared\n"
    "	.popsection\n");
#endif

static unsigned long fixed, shared;
/* Which one is called. Whoever takes the lock in on_sharing() must not wait: ftrace has its own. */
static unsigned long current_call;
static DEFINE_MUTEX(lock);

static int lead_to(struct ftrace_ops *ops, unsigned long call)
{
	int ret;

	if (current_call == call)
		return 0;
	/* ftrace has its lock already. */
	ret = modify_ftrace_direct_nolock(ops, call);
	if (!ret)
		current_call = call;
	return ret;
}

static int on_sharing(struct ftrace_ops *ops, unsigned long ip, enum ftrace_ops_cmd command)
{
	int ret = -EINVAL;

	/* Somebody redirects the function already. */
	if (command == FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_SELF)
		return current_call == shared ? 0 : -EAGAIN;
	/* This module is going. */
	if (!mutex_trylock(&lock))
		return -EAGAIN;
	switch (command) {
	case FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_PEER:
		if (refusals) {
			refusals--;
			ret = -EAGAIN;
			break;
		}
		ret = lead_to(ops, shared);
		break;
	case FTRACE_OPS_CMD_DISABLE_SHARE_IPMODIFY_PEER:
		ret = lead_to(ops, fixed);
		break;
	default:
		break;
	}
	mutex_unlock(&lock);
	return ret;
}

static struct ftrace_ops ops = { .ops_func = on_sharing };

static int __init klp_test_trampoline_init(void)
{
	/* Nothing is probed: it tells where the function's call site is. */
	struct kprobe probe = { .symbol_name = symbol, .flags = KPROBE_FLAG_DISABLED };
	unsigned long ip;
	int ret;

	ret = register_kprobe(&probe);
	if (ret)
		return ret;
	ip = (unsigned long)probe.addr;
	unregister_kprobe(&probe);

	klp_test_after = ip + MCOUNT_INSN_SIZE;
	fixed = ftrace_jmp_set((unsigned long)klp_test_fixed);
	shared = (unsigned long)klp_test_shared;
	ret = ftrace_set_filter_ip(&ops, ip, 0, 0);
	if (ret)
		return ret;
	current_call = fixed;
	ret = register_ftrace_direct(&ops, current_call);
	if (ret == -EAGAIN) {
		current_call = shared;
		ret = register_ftrace_direct(&ops, current_call);
	}
	if (ret)
		ftrace_free_filter(&ops);
	return ret;
}

static void __exit klp_test_trampoline_exit(void)
{
	/* What is called must be what is unregistered, or ftrace keeps it. */
	mutex_lock(&lock);
	unregister_ftrace_direct(&ops, current_call, true);
	mutex_unlock(&lock);
}

module_init(klp_test_trampoline_init);
module_exit(klp_test_trampoline_exit);
MODULE_DESCRIPTION("Livepatch tests: calls of a function go through a trampoline");
MODULE_LICENSE("GPL");
