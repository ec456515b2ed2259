// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow variables of a few objects, got, allocated and freed by several threads
 * at once, as long as the module is loaded. Every variable carries a pattern
 * that its reader checks; /proc/klp_test_shadow counts.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>

#define OBJECTS 8
#define THREADS 4
#define ID 0x5badc0de
#define PATTERN 0x0123456789abcdefULL

struct variable {
	u64 pattern;
	void *object;
};

static int objects[OBJECTS];
static struct task_struct *threads[THREADS];
static atomic_long_t allocated, destroyed, read, wrong;

static int construct(void *object, void *shadow_data, void *ctor_data)
{
	struct variable *variable = shadow_data;

	if (variable->pattern || variable->object || ctor_data != objects)
		atomic_long_inc(&wrong);
	variable->pattern = PATTERN;
	variable->object = object;
	atomic_long_inc(&allocated);
	return 0;
}

static void destruct(void *object, void *shadow_data)
{
	struct variable *variable = shadow_data;

	if (variable->pattern != PATTERN || variable->object != object)
		atomic_long_inc(&wrong);
	atomic_long_inc(&destroyed);
}

static void look(void *object)
{
	struct variable *variable;

	/* Others may free it: it stays until the section ends. */
	rcu_read_lock();
	variable = klp_shadow_get(object, ID);
	if (variable) {
		if (variable->pattern != PATTERN || variable->object != object)
			atomic_long_inc(&wrong);
		atomic_long_inc(&read);
	}
	rcu_read_unlock();
}

static int run(void *unused)
{
	while (!kthread_should_stop()) {
		void *object = &objects[get_random_u32_below(OBJECTS)];

		switch (get_random_u32_below(8)) {
		case 0:
			klp_shadow_free(object, ID, destruct);
			break;
		case 1:
			klp_shadow_free_all(ID, destruct);
			break;
		case 2:
		case 3:
			klp_shadow_get_or_alloc(object, ID, sizeof(struct variable), GFP_KERNEL,
						construct, objects);
			break;
		default:
			look(object);
			break;
		}
		/* A thread that never sleeps would keep ftrace waiting. */
		if (get_random_u32_below(256))
			cond_resched_tasks_rcu_qs();
		else
			msleep(1);
	}
	return 0;
}

static int refuse(void *object, void *shadow_data, void *ctor_data)
{
	return -EBUSY;
}

static int shadow_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "allocated %ld destroyed %ld read %ld wrong %ld\n",
		   atomic_long_read(&allocated), atomic_long_read(&destroyed),
		   atomic_long_read(&read), atomic_long_read(&wrong));
	return 0;
}

static void stop(void)
{
	int i;

	for (i = 0; i < THREADS; i++)
		if (!IS_ERR_OR_NULL(threads[i]))
			kthread_stop(threads[i]);
	klp_shadow_free_all(ID, destruct);
}

static int __init klp_test_shadow_init(void)
{
	int i;

	/* A constructor that fails leaves nothing. */
	if (klp_shadow_get_or_alloc(objects, ID, 8, GFP_KERNEL, refuse, NULL) ||
	    klp_shadow_get(objects, ID))
		return -EINVAL;
	proc_create_single("klp_test_shadow", 0, NULL, shadow_show);
	for (i = 0; i < THREADS; i++)
		threads[i] = kthread_run(run, NULL, "klp_shadow/%d", i);
	return 0;
}

static void __exit klp_test_shadow_exit(void)
{
	remove_proc_entry("klp_test_shadow", NULL);
	stop();
	if (atomic_long_read(&allocated) != atomic_long_read(&destroyed))
		pr_err("BUG: %ld shadow variables allocated, %ld destroyed\n",
		       atomic_long_read(&allocated), atomic_long_read(&destroyed));
}

module_init(klp_test_shadow_init);
module_exit(klp_test_shadow_exit);
MODULE_DESCRIPTION("Livepatch tests: shadow variables used by several threads");
MODULE_LICENSE("GPL");
