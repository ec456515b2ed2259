// SPDX-License-Identifier: GPL-2.0
/*
 * A patch with code that is as in the kernel: it includes what the kernel's own files
 * include, and calls the functions by which the kernel tells a livepatch core what
 * happens, which do nothing here.
 */
#include <linux/entry-common.h>
#include <linux/init_task.h>
#include <linux/livepatch_sched.h>
#include <linux/livepatch.h>
#include <linux/livepatch_helpers.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

/* As the scheduler, the entry code, fork and the module loader do. */
static int tell_the_core(struct task_struct *task, struct module *module)
{
	klp_sched_try_switch(task);
	if (unlikely(klp_patch_pending(task)))
		klp_update_patch_state(task);
	klp_copy_process(task);
	klp_module_going(module);
	return klp_module_coming(module) ?:
	       klp_apply_section_relocs(module, NULL, NULL, NULL, 0, 0, NULL);
}

static int new_cmdline_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "told %d, pending %d\n", tell_the_core(current, THIS_MODULE),
		   klp_patch_pending(current));
	return 0;
}

#ifdef CONFIG_X86_64
/* A mask that nobody has, and nothing changes. */
KLP_SYSCALL_DEFINE1(umask, int, mask)
{
	return 0525;
}
#endif

static struct klp_func functions[] = {
	{ .old_name = "cmdline_proc_show", .new_func = new_cmdline_show },
#ifdef CONFIG_X86_64
	{ .old_name = "__x64_sys_umask", .new_func = __x64_sys_umask },
#endif
	{ }
};

static struct klp_object objects[] = {
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_headers_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_test_headers_exit(void)
{
}

module_init(klp_test_headers_init);
module_exit(klp_test_headers_exit);
MODULE_DESCRIPTION("Livepatch tests: kernel code that calls the livepatch core");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
