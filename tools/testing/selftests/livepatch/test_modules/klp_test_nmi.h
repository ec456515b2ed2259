/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NMIs that a test module sends, one CPU to the next, in its interrupts. Elsewhere than on
 * x86_64 there are none.
 */
#ifndef KLP_TEST_NMI_H
#define KLP_TEST_NMI_H

#include <linux/atomic.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#ifdef CONFIG_X86
#include <asm/apic.h>
#include <asm/nmi.h>

static DEFINE_PER_CPU(atomic_t, nmi_sent);
static int nmi_hotplug;

/* To the next CPU: what is interrupted there may be anything. */
static void send_nmi(void)
{
	int cpu = cpumask_next_wrap(smp_processor_id(), cpu_online_mask);

	if (!atomic_xchg(per_cpu_ptr(&nmi_sent, cpu), 1))
		__apic_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}

/* In an NMI: whether it is one of these. */
static bool is_sent_nmi(void)
{
	return atomic_xchg(this_cpu_ptr(&nmi_sent), 0);
}

/* One that was sent to a CPU which was about to go has come to nobody. */
static int forget_nmi(unsigned int cpu)
{
	atomic_set(per_cpu_ptr(&nmi_sent, cpu), 0);
	return 0;
}

static int begin_nmis(void)
{
	int ret = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, KBUILD_MODNAME ":nmi",
					    forget_nmi, NULL);

	if (ret < 0)
		return ret;
	nmi_hotplug = ret;
	return 0;
}

/* When no more are sent: waits for those that are on their way. */
static void end_nmis(void)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		while (atomic_read(per_cpu_ptr(&nmi_sent, cpu)))
			msleep(1);
	cpus_read_unlock();
	cpuhp_remove_state_nocalls(nmi_hotplug);
}
#endif

#endif
