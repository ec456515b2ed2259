/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks in the stream of instructions: what counts them in the emulator (counter.c)
 * recognises an instruction that does nothing, by the number in it.
 */
#ifndef KLP_BENCH_MARK_H
#define KLP_BENCH_MARK_H

#define MARK_MAGIC 0x4b4c

/* A measured region begins and ends. */
#define MARK_OPEN 1
#define MARK_CLOSE 2
/* Points in a region, from 0. */
#define MARK_POINT 0x100

#if defined(__x86_64__)
/* nopl NUMBER(%rax,%rax) */
#define mark(number)                                                    \
	asm volatile(".byte 0x0f, 0x1f, 0x84, 0x00\n\t.long 0x4b4c0000 + %c0" \
		     : : "i"(number) : "memory")
#elif defined(__s390x__)
/* brcl 0,NUMBER: the branch that is never taken */
#define mark(number)                                                    \
	asm volatile(".short 0xc004\n\t.long 0x4b4c0000 + %0"           \
		     : : "i"(number) : "memory")
#endif

#define mark_point(number) mark(MARK_POINT + (number))

#endif
