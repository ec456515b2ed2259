/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sections by which kpatch-build hands over what is patched. Names and layouts are
 * those of kpatch (kmod/patch/kpatch-patch.h and kpatch.lds.S there).
 */
#include <linux/compiler.h>

struct kpatch_patch_func {
	unsigned long new_addr;
	unsigned long new_size;
	unsigned long old_addr;
	unsigned long old_size;
	unsigned long sympos;
	char *name;
	char *objname;
};

/* All four kinds look like this, but for what the function returns. */
struct kpatch_callback {
	void *callback;
	char *objname;
};

#define KPATCH_STRING(identifier, text) \
	static char identifier[] __used __section(".kpatch.strings") = text

/* The compiler must not leave gaps between the entries of a list. */
#define __kpatch_entry(name) __used __section(name) __aligned(sizeof(long))

/* Sizes and the old address are for tools: nothing reads them in the kernel. */
#define KPATCH_FUNCTION(new, which, old_name, object)                                     \
	static struct kpatch_patch_func __UNIQUE_ID(func) __kpatch_entry(".kpatch.funcs") = { \
		.new_addr = (unsigned long)(new),                                         \
		.sympos = (which),                                                        \
		.name = (old_name),                                                       \
		.objname = (object),                                                      \
	}

#define KPATCH_CALLBACK(kind, function, object)                              \
	static struct kpatch_callback __UNIQUE_ID(kind)                      \
		__kpatch_entry(".kpatch.callbacks." #kind) = { (function), (object) }
