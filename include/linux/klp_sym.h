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
 * Other attributes of the declaration follow after KLP_SYM(). From Rust, the same
 * name is given with #[link_name = ".klp.extern.vmlinux.init_once..2"].
 */
#ifndef _LINUX_KLP_SYM_H_
#define _LINUX_KLP_SYM_H_

#define KLP_SYM(object, symbol, position) \
	__asm__(".klp.extern." #object "." #symbol ".." #position)

#endif /* _LINUX_KLP_SYM_H_ */
