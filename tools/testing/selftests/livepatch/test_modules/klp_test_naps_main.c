// SPDX-License-Identifier: GPL-2.0
/*
 * A module to be patched, in whose function klp_test_nap() tasks of all kinds sleep until the
 * parameter release is set.
 *
 * /proc/klp_test_nap		a read naps; any signal, or being woken, ends it. It tells
 *				the version of the nap, or -1 if versions were mixed
 * /proc/klp_test_nap_deaf	the same, uninterruptibly
 * /proc/klp_test_nap_busy	the same, but it does not sleep: it keeps a CPU busy
 * /proc/klp_test_nap_close	the last close naps, uninterruptibly
 * /proc/klp_test_step		which version of klp_test_step() a read gets to
 * /proc/klp_test_naps		how many nap, and have napped, in each version
 * /proc/klp_test_hold_mm	a read holds the lock of the reader's memory until release is
 *				set: nobody can fork it meanwhile
 *
 * Writing to the parameter begin has others nap: "thread", "thread-deaf", "work", "work-deaf".
 * A thread naps again and again, and sleeps elsewhere for a while after each nap.
 */
#include <linux/atomic.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "klp_test_nap.h"

enum how { LIGHT, DEAF, BUSY };

static bool release;
static DECLARE_WAIT_QUEUE_HEAD(released);
/* None before the init function and after the exit function, when begin can be written to already,
 * and still. Guarded by the lock of the parameters.
 */
static struct workqueue_struct *workers;

static atomic_t napping[KLP_TEST_VERSIONS];
static atomic_t napped[KLP_TEST_VERSIONS];
static atomic_t mixed;
static atomic_t holding;

static void nap_sleep(struct klp_test_nap *nap, int version)
{
	DEFINE_WAIT(wait);

	atomic_inc(&napping[version]);
	switch (nap->how) {
	case LIGHT:
		/* Not in a loop: a thread that is woken leaves. */
		prepare_to_wait(&released, &wait, TASK_INTERRUPTIBLE);
		if (!READ_ONCE(release) && !signal_pending(current))
			schedule();
		finish_wait(&released, &wait);
		break;
	case DEAF:
		wait_event(released, READ_ONCE(release));
		break;
	case BUSY:
		while (!READ_ONCE(release) && !signal_pending(current))
			cpu_relax();
		break;
	}
	atomic_dec(&napping[version]);
}

static int nap(enum how how)
{
	struct klp_test_nap this = {
		.how = how,
		.step = klp_test_step,
		.sleep = nap_sleep,
	};
	int version = klp_test_nap(&this);

	atomic_inc(version == KLP_TEST_MIXED ? &mixed : &napped[version]);
	return version;
}

static int nap_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%d\n", nap((uintptr_t)file->private));
	return 0;
}

static int step_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%d\n", klp_test_step());
	return 0;
}

static void show_each(struct seq_file *file, const char *name, atomic_t *counts)
{
	int i;

	seq_puts(file, name);
	for (i = 0; i < KLP_TEST_VERSIONS; i++)
		seq_printf(file, " %d", atomic_read(&counts[i]));
	seq_putc(file, '\n');
}

static int naps_show(struct seq_file *file, void *unused)
{
	show_each(file, "napping", napping);
	show_each(file, "napped", napped);
	seq_printf(file, "mixed %d\n", atomic_read(&mixed));
	seq_printf(file, "holding %d\n", atomic_read(&holding));
	return 0;
}

static int hold_mm_show(struct seq_file *file, void *unused)
{
	mmap_read_lock(current->mm);
	atomic_inc(&holding);
	wait_event(released, READ_ONCE(release));
	atomic_dec(&holding);
	mmap_read_unlock(current->mm);
	return 0;
}

static int close_release(struct inode *inode, struct file *file)
{
	nap(DEAF);
	return 0;
}

static const struct proc_ops close_ops = { .proc_release = close_release };

static int nap_thread(void *how)
{
	while (!READ_ONCE(release)) {
		nap((uintptr_t)how);
		/* Here it can be seen that it has left. */
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		schedule_timeout(HZ / 10);
	}
	module_put_and_kthread_exit(0);
}

struct nap_work {
	struct work_struct work;
	enum how how;
};

static void nap_work(struct work_struct *work)
{
	struct nap_work *this = container_of(work, struct nap_work, work);

	nap(this->how);
	kfree(this);
}

static int begin_thread(enum how how)
{
	struct task_struct *thread;

	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	thread = kthread_run(nap_thread, (void *)(uintptr_t)how, "klp_test_napper");
	if (IS_ERR(thread)) {
		module_put(THIS_MODULE);
		return PTR_ERR(thread);
	}
	return 0;
}

static int begin_work(enum how how)
{
	struct nap_work *this = kmalloc(sizeof(*this), GFP_KERNEL);

	if (!this)
		return -ENOMEM;
	INIT_WORK(&this->work, nap_work);
	this->how = how;
	queue_work(workers, &this->work);
	return 0;
}

static int begin_set(const char *value, const struct kernel_param *param)
{
	if (!workers)
		return -EINVAL;
	if (sysfs_streq(value, "thread"))
		return begin_thread(LIGHT);
	if (sysfs_streq(value, "thread-deaf"))
		return begin_thread(DEAF);
	if (sysfs_streq(value, "work"))
		return begin_work(LIGHT);
	if (sysfs_streq(value, "work-deaf"))
		return begin_work(DEAF);
	return -EINVAL;
}

static const struct kernel_param_ops begin_ops = { .set = begin_set };
module_param_cb(begin, &begin_ops, NULL, 0200);
MODULE_PARM_DESC(begin, "Has a kernel thread or a worker nap");

static int release_set(const char *value, const struct kernel_param *param)
{
	int error = param_set_bool(value, param);

	wake_up_all(&released);
	return error;
}

static const struct kernel_param_ops release_ops = { .set = release_set, .get = param_get_bool };
module_param_cb(release, &release_ops, &release, 0644);
MODULE_PARM_DESC(release, "Lets those go that nap");

static const char *const files[] = {
	"klp_test_nap", "klp_test_nap_deaf", "klp_test_nap_busy", "klp_test_nap_close",
	"klp_test_step", "klp_test_naps", "klp_test_hold_mm",
};

static void klp_test_naps_end(void)
{
	struct workqueue_struct *old;
	int i;

	kernel_param_lock(THIS_MODULE);
	old = workers;
	workers = NULL;
	kernel_param_unlock(THIS_MODULE);
	/* Also those that could not be made. */
	for (i = 0; i < ARRAY_SIZE(files); i++)
		remove_proc_subtree(files[i], NULL);
	destroy_workqueue(old);
}

static int __init klp_test_naps_init(void)
{
	workers = alloc_workqueue("klp_test_naps", WQ_UNBOUND, 0);
	if (!workers)
		return -ENOMEM;
	if (proc_create_single_data("klp_test_nap", 0, NULL, nap_show, (void *)LIGHT) &&
	    proc_create_single_data("klp_test_nap_deaf", 0, NULL, nap_show, (void *)DEAF) &&
	    proc_create_single_data("klp_test_nap_busy", 0, NULL, nap_show, (void *)BUSY) &&
	    proc_create("klp_test_nap_close", 0400, NULL, &close_ops) &&
	    proc_create_single("klp_test_step", 0, NULL, step_show) &&
	    proc_create_single("klp_test_naps", 0, NULL, naps_show) &&
	    proc_create_single("klp_test_hold_mm", 0, NULL, hold_mm_show))
		return 0;
	klp_test_naps_end();
	return -ENOMEM;
}

static void __exit klp_test_naps_exit(void)
{
	klp_test_naps_end();
}

module_init(klp_test_naps_init);
module_exit(klp_test_naps_exit);
MODULE_DESCRIPTION("Livepatch tests: a module to be patched that tasks sleep in");
MODULE_LICENSE("GPL");
