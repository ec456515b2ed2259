/* SPDX-License-Identifier: GPL-2.0 */
/* What the sources of the tests need of a kernel's headers, as small as it can be. */
#define noinline __attribute__((__noinline__))
#define apart __attribute__((__noinline__, __noclone__))
#define notrace __attribute__((no_instrument_function))
#define __init __attribute__((section(".init.text"), cold))
#define __sched __attribute__((section(".sched.text")))
#define __per_cpu __attribute__((section(".data..percpu")))
#define __read_mostly __attribute__((section(".data..read_mostly")))
#define unlikely(x) __builtin_expect(!!(x), 0)
#ifndef NULL
#define NULL ((void *)0)
#endif

int exported(const char *format, ...);
int helper(int);
extern int unexported_variable;

#ifdef __s390__
#define TRAP "mc 0(%%r0),0"
#define NOP "brcl 0,%l[yes]"
#define JUMP "brcl 15,%l[yes]"
#define LOAD "lg %0,0(%1)"
#define KEY "jdd"
#define REGISTER "d"
#define BASE "a"
#define CONSTANT "%"
#define REPLACEMENT "brasl %%r14,replacement"
#define ALT_FEATURE ".long 5\n.byte 6"
#else
#define TRAP "ud2"
#define NOP ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00"
#define JUMP "jmp %l[yes]"
#define LOAD "movq (%1),%0"
#define KEY "i"
#define REGISTER "r"
#define BASE "r"
#define CONSTANT "%c"
#define REPLACEMENT "call replacement"
#define ALT_FEATURE ".long 5\n.byte 6, 5"
#endif

/* struct bug_entry with a file and a line */
#define WARN()								\
	asm volatile("0:\n" TRAP "\n"					\
		     ".pushsection __bug_table,\"aw\"\n"		\
		     "1: .long 0b - .\n"				\
		     ".long " CONSTANT "0 - .\n"			\
		     ".short " CONSTANT "1, 0\n"			\
		     ".org 1b + 12\n"					\
		     ".popsection\n"					\
		     : : "i"(__FILE__), "i"(__LINE__))

struct static_key {
	int enabled;
	void *entries;
};

#define static_branch(key) static_branch_with(NOP, "", key)

/* flags: such as " + 2" */
#define static_branch_with(site, flags, key) ({				\
	__label__ yes, done;						\
	int taken = 0;							\
	asm goto("0:\n" site "\n"					\
		 ".pushsection __jump_table,\"aw\"\n"			\
		 ".balign 8\n"						\
		 ".long 0b - ., %l[yes] - .\n"				\
		 ".quad " CONSTANT "0" flags " - .\n"			\
		 ".popsection\n" : : KEY(key) : : yes);			\
	goto done;							\
yes:	taken = 1;							\
done:	taken; })

#define load(pointer) ({						\
	long value;							\
	asm volatile("0: " LOAD "\n"					\
		     "1:\n"						\
		     ".pushsection __ex_table,\"a\"\n"			\
		     ".balign 4\n"					\
		     ".long 0b - ., 1b - ., 7\n"			\
		     ".popsection\n" : "=" REGISTER(value) : BASE(pointer));	\
	value; })

/* struct alt_instr: a call takes the place of the original */
#define ALTERNATIVE()							\
	asm volatile("0: .skip 6, 0x07\n"				\
		     ".pushsection .altinstructions,\"a\"\n"		\
		     ".long 0b - ., 1f - .\n"				\
		     ALT_FEATURE "\n"					\
		     ".popsection\n"					\
		     ".pushsection .altinstr_replacement,\"ax\"\n"	\
		     "1: " REPLACEMENT "\n"				\
		     ".popsection\n" : : : "memory")

/* An entry of a table that refers to this place, and to nothing else. */
#define SITE(table, type)						\
	asm volatile("0:\n"						\
		     ".pushsection " table "\n"				\
		     type " 0b - .\n"					\
		     ".popsection\n")
