// SPDX-License-Identifier: GPL-2.0
/*
 * Calls every function of the kernel that is named init_once, each by its
 * position, and says where it found it. INIT_ONCE is how many there are.
 */
#include <linux/klp_sym.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

/* EACH(macro) applies macro to 1 ... INIT_ONCE */
#define EACH_2(macro) macro(1) macro(2)
#define EACH_3(macro) EACH_2(macro) macro(3)
#define EACH_4(macro) EACH_3(macro) macro(4)
#define EACH_5(macro) EACH_4(macro) macro(5)
#define EACH_6(macro) EACH_5(macro) macro(6)
#define EACH_7(macro) EACH_6(macro) macro(7)
#define EACH_8(macro) EACH_7(macro) macro(8)
#define EACH_N(count, macro) EACH_##count(macro)
#define EACH_OF(count, macro) EACH_N(count, macro)
#define EACH(macro) EACH_OF(INIT_ONCE, macro)

#define DECLARE(n) extern void init_once_##n(void *object) KLP_SYM(vmlinux, init_once, n);
EACH(DECLARE)

/* Larger than any of the objects that these functions initialise. */
#define OBJECT_SIZE 8192

static noinline int show_one(struct seq_file *file, void (*address)(void *),
			     const unsigned char *object)
{
	size_t written = 0, i;

	for (i = 0; i < OBJECT_SIZE; i++)
		written += object[i] != 0xa5;
	seq_printf(file, "%px %s\n", address, written ? "called" : "untouched");
	return 0;
}

static int positions_show(struct seq_file *file, void *unused)
{
	unsigned char *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);

	if (!object)
		return -ENOMEM;
#define CALL(n)                                  \
	memset(object, 0xa5, OBJECT_SIZE);       \
	init_once_##n(object);                   \
	show_one(file, init_once_##n, object);
	EACH(CALL)
	kfree(object);
	return 0;
}

static int new_function(void)
{
	return 0;
}

/* A livepatch has to patch something: a module that is never there. */
static struct klp_func functions[] = {
	{ .old_name = "never", .new_func = new_function },
	{ }
};

static struct klp_object objects[] = {
	{ .name = "klp_test_never", .funcs = functions },
	{ }
};

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };

static int __init klp_test_positions_init(void)
{
	int ret = klp_enable_patch(&patch);

	if (!ret)
		proc_create_single("klp_test_positions", 0400, NULL, positions_show);
	return ret;
}

static void __exit klp_test_positions_exit(void)
{
	remove_proc_entry("klp_test_positions", NULL);
}

module_init(klp_test_positions_init);
module_exit(klp_test_positions_exit);
MODULE_DESCRIPTION("Livepatch tests: static functions of one name");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
