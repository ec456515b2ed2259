/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The livepatch API, as livepatch.ko offers it.
 *
 * This file takes the place of the kernel's own <linux/livepatch.h>, which
 * declares nothing on a kernel without CONFIG_LIVEPATCH: put the directory that
 * holds linux/livepatch.h before the kernel's include directories
 * (scripts/Makefile.livepatch does). Names, types and meanings are those of
 * mainline, so that patch sources need no change.
 *
 * The structures describe a patch and stay the author's: livepatch.ko reads
 * objects and functions in klp_enable_patch() and keeps its own records of them;
 * callbacks and states are read when they are needed. What it writes is said
 * below. They must stay where they are until the patch module is unloaded.
 */
#ifndef _LINUX_LIVEPATCH_H_
#define _LINUX_LIVEPATCH_H_

#include <linux/completion.h>
#include <linux/ftrace.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched.h>

#if __has_include(<linux/livepatch_sched.h>)
#include <linux/livepatch_sched.h>
#endif
#if __has_include(<linux/livepatch_external.h>)
#include <linux/livepatch_external.h>
#else
struct klp_object;

typedef int (*klp_pre_patch_t)(struct klp_object *obj);
typedef void (*klp_post_patch_t)(struct klp_object *obj);
typedef void (*klp_pre_unpatch_t)(struct klp_object *obj);
typedef void (*klp_post_unpatch_t)(struct klp_object *obj);

struct klp_callbacks {
	klp_pre_patch_t pre_patch;
	klp_post_patch_t post_patch;
	klp_pre_unpatch_t pre_unpatch;
	klp_post_unpatch_t post_unpatch;
	bool post_unpatch_enabled;
};
#endif

/**
 * struct klp_func - one function to replace
 * @old_name:	its name, as kallsyms has it
 * @new_func:	what is to run instead
 * @old_sympos:	0 where the name stands once in its object; else the n-th of
 *		that name in the order of kallsyms
 *
 * An array of these ends with an entry of zeroes.
 */
struct klp_func {
	const char *old_name;
	void *new_func;
	unsigned long old_sympos;
};

/**
 * struct klp_object - what is replaced in one object
 * @name:	the module's name, or NULL for the kernel itself
 * @funcs:	the functions
 * @callbacks:	called before and after the object is patched and unpatched
 * @mod:	the target module while it is loaded; written by livepatch.ko
 *
 * An array of these ends with an entry of zeroes. livepatch.ko also writes
 * callbacks.post_unpatch_enabled.
 */
struct klp_object {
	const char *name;
	struct klp_func *funcs;
	struct klp_callbacks callbacks;

	struct module *mod;
};

/**
 * struct klp_state - a change of the system that outlives the code that made it
 * @id:		what is changed; not zero
 * @version:	version of the change
 * @data:	the author's
 */
struct klp_state {
	unsigned long id;
	unsigned int version;
	void *data;
};

/**
 * struct klp_patch - a livepatch
 * @mod:	the patch module: THIS_MODULE
 * @objs:	what is replaced
 * @states:	what of the system is changed; may be NULL, ends with id 0
 * @replace:	replace all patches that were enabled before
 */
struct klp_patch {
	struct module *mod;
	struct klp_object *objs;
	struct klp_state *states;
	bool replace;
};

#define klp_for_each_object_static(patch, obj) \
	for ((obj) = (patch)->objs; (obj)->name || (obj)->funcs; (obj)++)

#define klp_for_each_func_static(obj, func)                              \
	for ((func) = (obj)->funcs;                                      \
	     (func)->old_sympos || (func)->new_func || (func)->old_name; \
	     (func)++)

int klp_enable_patch(struct klp_patch *patch);

/* Where a section of a livepatch module is in memory, and its size in bytes. */
void *klp_find_section_by_name(const struct module *mod, const char *name,
			       size_t *sec_size);

/*
 * Constructors and destructors of shadow variables run with a spin lock held, and
 * with interrupts off but with PREEMPT_RT.
 */
typedef int (*klp_shadow_ctor_t)(void *obj, void *shadow_data, void *ctor_data);
typedef void (*klp_shadow_dtor_t)(void *obj, void *shadow_data);

void *klp_shadow_get(void *obj, unsigned long id);
void *klp_shadow_alloc(void *obj, unsigned long id, size_t size,
		       gfp_t gfp_flags, klp_shadow_ctor_t ctor, void *ctor_data);
void *klp_shadow_get_or_alloc(void *obj, unsigned long id, size_t size,
			      gfp_t gfp_flags, klp_shadow_ctor_t ctor,
			      void *ctor_data);
void klp_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor);
void klp_shadow_free_all(unsigned long id, klp_shadow_dtor_t dtor);

/* The second is for callbacks during a transition: what earlier patches have. */
struct klp_state *klp_get_state(struct klp_patch *patch, unsigned long id);
struct klp_state *klp_get_prev_state(unsigned long id);

/*
 * What the kernel's own code calls, which a patch may have a copy of or include: nothing
 * waits for it in a kernel without CONFIG_LIVEPATCH, and livepatch.ko finds out by itself.
 */
static inline int klp_module_coming(struct module *mod)
{
	return 0;
}

static inline void klp_module_going(struct module *mod)
{
}

static inline void klp_copy_process(struct task_struct *child)
{
}

static inline bool klp_patch_pending(struct task_struct *task)
{
	return false;
}

static inline void klp_update_patch_state(struct task_struct *task)
{
}

static inline int klp_apply_section_relocs(struct module *pmod, Elf_Shdr *sechdrs,
					   const char *shstrtab, const char *strtab,
					   unsigned int symindex, unsigned int secindex,
					   const char *objname)
{
	return 0;
}

#endif /* _LINUX_LIVEPATCH_H_ */
