/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For fixes that klp build makes livepatches of: callbacks, static calls, system
 * calls.
 *
 * The interface is that of mainline's file of this name, which older kernels do
 * not have, and in which system calls are for x86_64 only. Where the kernel has
 * CONFIG_LIVEPATCH, its own file comes first.
 */
#ifndef _LINUX_LIVEPATCH_HELPERS_H
#define _LINUX_LIVEPATCH_HELPERS_H

#include <linux/livepatch.h>
#include <linux/syscalls.h>

/* Which object the source file is a part of. */
#ifdef MODULE
#define KLP_OBJNAME __KBUILD_MODNAME
#else
#define KLP_OBJNAME vmlinux
#endif

/*
 * Callbacks of that object, one of each kind:
 *
 *	static int fix_limits(struct klp_object *obj) { ... }
 *	KLP_PRE_PATCH_CALLBACK(fix_limits);
 *
 * klp build finds the pointer, by its name and section, and the linker drops it.
 */
#define KLP_CALLBACK_PTRS ".discard.klp_callback_ptrs"

#define __KLP_CALLBACK(type, kind, func) \
	type (*__used __section(KLP_CALLBACK_PTRS) \
	      __PASTE(__PASTE(__klp_, kind), __PASTE(_callback_, KLP_OBJNAME))) \
		(struct klp_object *) = func

#define KLP_PRE_PATCH_CALLBACK(func)	__KLP_CALLBACK(int, pre_patch, func)
#define KLP_POST_PATCH_CALLBACK(func)	__KLP_CALLBACK(void, post_patch, func)
#define KLP_PRE_UNPATCH_CALLBACK(func)	__KLP_CALLBACK(void, pre_unpatch, func)
#define KLP_POST_UNPATCH_CALLBACK(func)	__KLP_CALLBACK(void, post_unpatch, func)

/*
 * Calls what a static call leads to at this time, by its address:
 * KLP_STATIC_CALL(name)(arguments). The address is NULL while a static call that
 * may lead nowhere does.
 */
#define KLP_STATIC_CALL(name) \
	((typeof(&STATIC_CALL_TRAMP(name)))READ_ONCE(STATIC_CALL_KEY(name).func))

/*
 * A system call, in place of SYSCALL_DEFINEx(): the same functions, without the
 * description of its arguments for tracing, of which the kernel has one already.
 */
#define KLP_SYSCALL_DEFINE1(name, ...) KLP_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE2(name, ...) KLP_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE3(name, ...) KLP_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE4(name, ...) KLP_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE5(name, ...) KLP_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE6(name, ...) KLP_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)

#define KLP_SYSCALL_DEFINEx(x, sname, ...) __SYSCALL_DEFINEx(x, sname, __VA_ARGS__)

#endif /* _LINUX_LIVEPATCH_HELPERS_H */
