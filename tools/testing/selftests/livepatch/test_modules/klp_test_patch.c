// SPDX-License-Identifier: GPL-2.0
/*
 * A patch of one function or two, which its parameters name. The functions must take no
 * arguments and return an int.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "klp_test_slow.h"

static char *object = "klp_test_target";
module_param(object, charp, 0444);
MODULE_PARM_DESC(object, "The object; empty for the kernel itself");

static char *function = "shared_value";
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "The function");

static ulong sympos;
module_param(sympos, ulong, 0444);
MODULE_PARM_DESC(sympos, "Which one of that name");

static char *also = "";
module_param(also, charp, 0444);
MODULE_PARM_DESC(also, "A second function of the object");

static int value = 7000;
module_param(value, int, 0644);
MODULE_PARM_DESC(value, "What the functions return");

static char *fault = "";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "What to do wrong");

static bool slow_init;
module_param(slow_init, bool, 0644);
MODULE_PARM_DESC(slow_init, "The init function waits when it has enabled the patch");

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all earlier patches");

static int new_function(void)
{
	return READ_ONCE(value);
}

static struct klp_func functions[4];
static struct klp_object objects[3];
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static bool faulty(const char *name)
{
	return !strcmp(fault, name);
}

static int __init klp_test_patch_init(void)
{
	int ret;

	if (faulty("early"))
		return -ENOMSG;

	functions[0].old_name = function;
	functions[0].new_func = new_function;
	functions[0].old_sympos = sympos;
	if (*also) {
		functions[1].old_name = also;
		functions[1].new_func = new_function;
	}
	objects[0].name = *object ? object : NULL;
	objects[0].funcs = functions;
	patch.replace = replace;

	if (faulty("no-module"))
		patch.mod = NULL;
	if (faulty("no-objects"))
		patch.objs = NULL;
	if (faulty("empty-objects"))
		memset(objects, 0, sizeof(objects));
	if (faulty("no-functions")) {
		objects[0].name = "klp_test_target";
		objects[0].funcs = NULL;
	}
	if (faulty("no-name"))
		functions[0].old_name = NULL;
	if (faulty("empty-name"))
		functions[0].old_name = "";
	if (faulty("no-new"))
		functions[0].new_func = NULL;
	if (faulty("function-twice"))
		functions[1] = functions[0];
	if (faulty("object-twice"))
		objects[1] = objects[0];
	if (faulty("null"))
		ret = klp_enable_patch(NULL);
	else
		ret = klp_enable_patch(&patch);
	if (ret)
		return ret;
	if (faulty("again"))
		return klp_enable_patch(&patch);
	last_while(&slow_init);
	return faulty("late") ? -ENOMSG : 0;
}

static void __exit klp_test_patch_exit(void)
{
}

module_init(klp_test_patch_init);
module_exit(klp_test_patch_exit);
MODULE_DESCRIPTION("Livepatch tests: a patch of one function");
MODULE_LICENSE("GPL");
#ifndef NO_FLAG
MODULE_INFO(livepatch, "Y");
#endif
