/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The patch that klp_test_patch.c makes of its parameters when it is loaded, but
 * with all of it in the file. OBJECT, FUNCTION and SYMPOS are those parameters,
 * FAULT_<fault> is defined for the fault.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static int __maybe_unused new_function(void)
{
	return 7000;
}

static struct klp_func __maybe_unused functions[] = {
	{
#if defined(FAULT_empty_name)
		.old_name = "",
#elif !defined(FAULT_no_name)
		.old_name = FUNCTION,
#endif
#ifndef FAULT_no_new
		.new_func = new_function,
#endif
		.old_sympos = SYMPOS,
	},
#ifdef FAULT_function_twice
	{ .old_name = FUNCTION, .new_func = new_function, .old_sympos = SYMPOS },
#endif
	{ }
};

static struct klp_object __maybe_unused objects[] = {
#if defined(FAULT_no_functions)
	{ .name = "klp_test_target" },
#elif !defined(FAULT_empty_objects)
	{ .name = OBJECT, .funcs = functions },
#endif
#ifdef FAULT_object_twice
	{ .name = OBJECT, .funcs = functions },
#endif
	{ }
};

static struct klp_patch patch = {
#ifndef FAULT_no_module
	.mod = THIS_MODULE,
#endif
#ifndef FAULT_no_objects
	.objs = objects,
#endif
};

static int __init klp_lint_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_lint_exit(void)
{
}

module_init(klp_lint_init);
module_exit(klp_lint_exit);
MODULE_DESCRIPTION("Tests of klp lint: a patch that is in the file");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
