/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A patch of one function, PATCH(OBJECT, NAME, REPLACEMENT), in which its author has made a mistake.
 * What klp convert says of it is in the comment at its beginning: expressions, each for a line;
 * nothing else may be said. "refused" stands there where it does not convert it.
 */
#include <linux/klp_sym.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#define PATCH(object, function, replacement)					\
	static struct klp_func functions[] = {					\
		{ .old_name = function, .new_func = replacement },		\
		{ }								\
	};									\
	static struct klp_object objects[] = {					\
		{ .name = object, .funcs = functions },				\
		{ }								\
	};									\
	static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };	\
	static int __init mistake_init(void)					\
	{									\
		return klp_enable_patch(&patch);				\
	}									\
	static void __exit mistake_exit(void)					\
	{									\
	}									\
	module_init(mistake_init);						\
	module_exit(mistake_exit);						\
	MODULE_DESCRIPTION("Tests of klp convert: a mistake of the author");	\
	MODULE_LICENSE("GPL");							\
	MODULE_INFO(livepatch, "Y")
