/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/cma.h>
#include <linux/hugetlb.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/seq_file.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>
#include <linux/zswap.h>

/* No header has these. */
int meminfo_proc_show(struct seq_file *file, void *unused);
void arch_report_meminfo(struct seq_file *file);

/* Macros on some configurations and architectures. The second is in bytes. */
static inline void swap_info(struct sysinfo *info)
{
	si_swapinfo(info);
}

static inline unsigned long vmalloc_total(void)
{
	return (unsigned long)VMALLOC_TOTAL;
}
