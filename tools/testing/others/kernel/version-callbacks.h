/* SPDX-License-Identifier: GPL-2.0 */
/* What is added to fs/proc/version.c: callbacks for the kernel itself. */
#include <linux/livepatch_helpers.h>

static int version_pre_patch(struct klp_object *object)
{
	pr_info("klp_others: pre_patch %s\n", object->name ?: "vmlinux");
	return 0;
}

static void version_post_unpatch(struct klp_object *object)
{
	pr_info("klp_others: post_unpatch %s\n", object->name ?: "vmlinux");
}

KLP_PRE_PATCH_CALLBACK(version_pre_patch);
KLP_POST_UNPATCH_CALLBACK(version_post_unpatch);
