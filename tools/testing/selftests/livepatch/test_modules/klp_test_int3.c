// SPDX-License-Identifier: GPL-2.0
/*
 * Tells breakpoint traps that are the emulator's from those that are the kernel's, and lets a
 * guest survive the former.
 *
 * The kernel changes instructions by way of a breakpoint (0xcc). As long as it is in memory,
 * the kernel claims the traps; a trap that nobody claims is an oops. Here, if memory holds no
 * breakpoint at that place, the instruction is run again instead. A CPU then fetches it again,
 * and cannot trap a second time: only somebody who pokes the text once more could make it, and
 * the kernel would claim that. QEMU can trap, when a CPU goes on with a translation of what was
 * there: one that was made between the moment when another CPU's write dropped the old
 * translation and the moment when it wrote. After as many traps in a row as the parameter
 * limit says, the byte is written once more, as it is, which drops that translation.
 *
 * The parameter report has the counts; see report_get(). Writing to the parameter trap makes such
 * a trap; with limit=0, its byte is written at once. A breakpoint that is in memory and
 * that nobody claims is left to be the oops that it is.
 *
 * Once loaded, it stays.
 */
#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <asm/pgtable.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/text-patching.h>

static unsigned int limit = 100;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "How often an instruction is run again before its text is written again");

/* Of one CPU, and written by it only. */
struct state {
	/* The last trap: where it was and whose, and how often it came in a row. */
	unsigned long place;
	unsigned long stack;
	struct task_struct *task;
	unsigned long length;
	/* How often memory held a breakpoint. */
	unsigned long held;
	/* Traps while memory held no breakpoint, and the series of two and more of them. */
	unsigned long traps;
	unsigned long series;
	unsigned long longest;
};
static DEFINE_PER_CPU(struct state, states);

/* Places of the kernel's text. What finds no room is counted. */
struct places {
	unsigned long all[32];
	atomic_t left_out;
};
/* Where a series was seen, and where a trap came once. */
static struct places stale, once;

static bool is_among(struct places *places, unsigned long place)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(places->all); i++) {
		if (READ_ONCE(places->all[i]) == place)
			return true;
	}
	return false;
}

static void add(struct places *places, unsigned long place)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(places->all); i++) {
		unsigned long there = cmpxchg(&places->all[i], 0, place);

		if (!there || there == place)
			return;
	}
	atomic_inc(&places->left_out);
}

/* Counts the series that has ended. */
static void finish(struct state *state)
{
	if (state->length > 1) {
		state->series++;
		add(&stale, state->place);
	} else if (state->length == 1) {
		add(&once, state->place);
	}
	state->longest = max(state->longest, state->length);
	state->length = 0;
}

/* Whether a page that cannot be written to is dirty. */
static bool is_dirty(void *place)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)place, &level);

	return pte && (pte_flags(*pte) & (_PAGE_RW | _PAGE_DIRTY)) == _PAGE_DIRTY;
}

/*
 * Writes what is there, in spite of its protection, so that the emulator translates it anew.
 * The processor notes in the page tables that it has: but what cannot be written to must not be
 * dirty, which the kernel warns of when it changes that page's protection.
 */
static void write_again(u8 *place)
{
	unsigned long cr0 = native_read_cr0();
	u8 byte = READ_ONCE(*place);
	unsigned int level;
	pte_t *pte;

	asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~X86_CR0_WP) : "memory");
	/* Unless somebody pokes there at this very moment. */
	asm volatile("lock cmpxchgb %2, %0" : "+m"(*place), "+a"(byte) : "q"(byte) : "memory");
	asm volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
	/* With interrupts disabled, nobody frees a page table that this CPU may look at. */
	pte = lookup_address((unsigned long)place, &level);
	if (pte && !(pte_flags(*pte) & _PAGE_RW))
		clear_bit(_PAGE_BIT_DIRTY, (unsigned long *)pte);
}

/* Runs with interrupts disabled, as all of the kernel's handling of the trap. */
static int trapped(struct notifier_block *block, unsigned long event, void *data)
{
	struct pt_regs *regs = ((struct die_args *)data)->regs;
	unsigned long place = regs->ip - INT3_INSN_SIZE;
	struct state *state = this_cpu_ptr(&states);

	if (event != DIE_INT3 || user_mode(regs))
		return NOTIFY_DONE;

	if (state->place != place || state->stack != regs->sp || state->task != current) {
		finish(state);
		state->place = place;
		state->stack = regs->sp;
		state->task = current;
		state->held = 0;
	}
	if (READ_ONCE(*(u8 *)place) == INT3_INSN_OPCODE) {
		/* Poked since the kernel has looked? Then it will claim the next trap. */
		if (++state->held > limit) {
			pr_emerg("memory holds a breakpoint at %pS that nobody claims\n", (void *)place);
			return NOTIFY_DONE;
		}
	} else {
		state->traps++;
		if (++state->length > limit) {
			write_again((u8 *)place);
			add(&stale, place);
			finish(state);
		}
	}
	regs->ip = place;
	return NOTIFY_STOP;
}

/* After all others: what they claim is no concern of this one. */
static struct notifier_block notifier = {
	.notifier_call = trapped,
	.priority = INT_MIN,
};

/*
 * traps: that nobody claimed, while memory held no breakpoint.
 * series: of two and more traps in a row.
 * longest: of these.
 * single: places at which a trap came once, and never a series. An interrupt or another task
 *	can come between two traps of a series, and end it.
 */
static int report_get(char *buffer, const struct kernel_param *param)
{
	unsigned long traps = 0, series = 0, longest = 0, single = atomic_read(&once.left_out);
	int i, cpu;

	for_each_possible_cpu(cpu) {
		struct state *state = per_cpu_ptr(&states, cpu);

		traps += state->traps;
		/* The last one is none that has ended. */
		series += state->series + (state->length > 1);
		longest = max3(longest, state->longest, state->length);
		if (state->length > 1)
			add(&stale, state->place);
		else if (state->length == 1)
			add(&once, state->place);
	}
	for (i = 0; i < ARRAY_SIZE(once.all); i++)
		single += once.all[i] && !is_among(&stale, once.all[i]);
	return sysfs_emit(buffer, "traps %lu series %lu single %lu longest %lu\n", traps, series, single, longest);
}

static const struct kernel_param_ops report_ops = { .get = report_get };
module_param_cb(report, &report_ops, NULL, 0444);

/*
 * INT 3 in two bytes traps, too, and its last byte is taken for the place of a breakpoint that is
 * not there. Run from that byte, it adds %eax to %edi. objtool sees INT and CLC.
 */
asm(".pushsection .text, \"ax\"\n"
    ".type klp_test_int3_trap, @function\n"
    "klp_test_int3_trap:\n"
    "	xor %eax, %eax\n"
    "	.byte 0xcd, 0x03, 0xf8\n"
    ASM_RET
    ".size klp_test_int3_trap, . - klp_test_int3_trap\n"
    ".popsection\n");
extern u8 klp_test_int3_trap[];
#define TRAP_PLACE (klp_test_int3_trap + 3)

static int trap_set(const char *value, const struct kernel_param *param)
{
	asm volatile("call klp_test_int3_trap" : ASM_CALL_CONSTRAINT : : "rax", "rdi", "cc", "memory");
	return is_dirty(TRAP_PLACE) ? -EIO : 0;
}

static const struct kernel_param_ops trap_ops = { .set = trap_set };
module_param_cb(trap, &trap_ops, NULL, 0200);

static int __init klp_test_int3_init(void)
{
	return register_die_notifier(&notifier);
}

module_init(klp_test_int3_init);
MODULE_DESCRIPTION("Livepatch tests: breakpoint traps that nobody claims");
MODULE_LICENSE("GPL");
