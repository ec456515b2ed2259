/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Callbacks that say in the log that they were called. Those around patching switch on
 * and off what klp_others_special() prints.
 */
#include <linux/livepatch.h>

static int pre_patch(struct klp_object *object)
{
	pr_info("klp_others: pre_patch %s\n", object->name);
	return 0;
}

static void post_patch(struct klp_object *object)
{
	pr_info("klp_others: post_patch %s\n", object->name);
	klp_others_switch(true);
}

static void pre_unpatch(struct klp_object *object)
{
	pr_info("klp_others: pre_unpatch %s\n", object->name);
	klp_others_switch(false);
}

static void post_unpatch(struct klp_object *object)
{
	pr_info("klp_others: post_unpatch %s\n", object->name);
}
