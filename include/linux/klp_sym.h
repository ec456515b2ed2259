/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For authors of patches: state which symbol is meant.
 *
 * A patch may refer to any function or variable of the kernel, exported or not:
 * it declares it, and klp convert looks it up. Where the name stands several
 * times, in several source files or in several objects, it cannot know which one
 * is meant, and the declaration has to say so:
 *
 *	#include <linux/klp_sym.h>
 *
 *	extern void fat_init_once(void *) KLP_SYM(vmlinux, init_once, 2);
 *	extern int ext4_limit KLP_SYM(ext4, limit, 0);
 *	extern void shrink(void) KLP_SYM(vmlinux, shrink.isra.0, 0);
 *
 * The C name is free. An object is vmlinux or a module, called as lsmod has it.
 * The position is a plain decimal number and counts as old_sympos of struct
 * klp_func does: 0 where the object has one symbol of that name, else n for the
 * n-th in the order of /proc/kallsyms. klp convert lists what there is to choose
 * from, and refuses what is not there.
 *
 * A position is that of one build of the kernel. The file that defines the symbol
 * is the same for others:
 *
 *	extern void fat_init_once(void *)
 *		KLP_SYM_FILE(vmlinux, init_once, "fs/fat/inode.c");
 *
 * klp convert finds the position then, and needs a vmlinux, or the target module
 * itself, for that. These tell the last part of the path of what is static; with
 * debug information they tell all of it, and of every symbol.
 *
 * Other attributes of the declaration follow after KLP_SYM(). From Rust, the same
 * name is given with #[link_name = ".klp.extern.vmlinux.init_once..2"], or with
 * the file in place of the number.
 */
#ifndef _LINUX_KLP_SYM_H_
#define _LINUX_KLP_SYM_H_

#define KLP_SYM(object, symbol, position) \
	__asm__(".klp.extern." #object "." #symbol ".." #position)

/* The file has a slash, which the assembler takes in a name only in quotes. */
#define KLP_SYM_FILE(object, symbol, file) \
	__asm__("\".klp.extern." #object "." #symbol ".." file "\"")

#endif /* _LINUX_KLP_SYM_H_ */
