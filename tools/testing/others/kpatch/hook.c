// SPDX-License-Identifier: GPL-2.0
/*
 * What a module of kpatch-build's does when it is loaded, as far as a livepatch core can
 * tell: it makes its patch, in memory that it allocates, of what the sections say, and
 * frees it in the end.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "kpatch.h"

extern struct kpatch_patch_func __kpatch_funcs[], __kpatch_funcs_end[];

#define CALLBACKS(kind) \
	extern struct kpatch_callback __kpatch_callbacks_##kind[], __kpatch_callbacks_##kind##_end[]
CALLBACKS(pre_patch);
CALLBACKS(post_patch);
CALLBACKS(pre_unpatch);
CALLBACKS(post_unpatch);

static struct klp_patch *patch;

static bool is_vmlinux(const char *object)
{
	return !strcmp(object, "vmlinux");
}

/*
 * The entry for an object: the one that is there, or the first that is free. There are as
 * many as functions, and callbacks are for objects that have some.
 */
static struct klp_object *object_of(const char *name)
{
	struct klp_object *object;

	klp_for_each_object_static(patch, object)
		if (is_vmlinux(name) ? !object->name : object->name && !strcmp(object->name, name))
			break;
	if (!is_vmlinux(name))
		object->name = name;
	return object;
}

static int add_functions(unsigned int count)
{
	struct kpatch_patch_func *entry;
	struct klp_object *object;
	struct klp_func *function;

	for (entry = __kpatch_funcs; entry < __kpatch_funcs_end; entry++) {
		object = object_of(entry->objname);
		if (!object->funcs)
			object->funcs = kcalloc(count + 1, sizeof(*object->funcs), GFP_KERNEL);
		if (!object->funcs)
			return -ENOMEM;
		for (function = object->funcs; function->old_name;)
			function++;
		function->old_name = entry->name;
		function->new_func = (void *)entry->new_addr;
		function->old_sympos = entry->sympos;
	}
	return 0;
}

#define add_callbacks(kind)                                                        \
	do {                                                                       \
		struct kpatch_callback *entry;                                     \
									           \
		for (entry = __kpatch_callbacks_##kind;                            \
		     entry < __kpatch_callbacks_##kind##_end; entry++)             \
			object_of(entry->objname)->callbacks.kind = entry->callback; \
	} while (0)

static void free_patch(void)
{
	struct klp_object *object;

	if (patch && patch->objs)
		klp_for_each_object_static(patch, object)
			kfree(object->funcs);
	if (patch)
		kfree(patch->objs);
	kfree(patch);
}

static int __init kpatch_init(void)
{
	unsigned int count = __kpatch_funcs_end - __kpatch_funcs;
	int error = -ENOMEM;

	patch = kzalloc(sizeof(*patch), GFP_KERNEL);
	if (!patch)
		return -ENOMEM;
	patch->mod = THIS_MODULE;
	patch->replace = true;
	patch->objs = kcalloc(count + 1, sizeof(*patch->objs), GFP_KERNEL);
	if (patch->objs)
		error = add_functions(count);
	if (!error) {
		add_callbacks(pre_patch);
		add_callbacks(post_patch);
		add_callbacks(pre_unpatch);
		add_callbacks(post_unpatch);
		error = klp_enable_patch(patch);
	}
	if (error)
		free_patch();
	return error;
}

static void __exit kpatch_exit(void)
{
	free_patch();
}

module_init(kpatch_init);
module_exit(kpatch_exit);
MODULE_DESCRIPTION("Tests of what others build: a patch with the sections of kpatch-build's");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
