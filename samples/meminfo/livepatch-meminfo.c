// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces what /proc/meminfo shows: the same figures, and CommitFree, which is
 * what may still be committed.
 *
 * The figures come from a table. What it takes to get them and is not exported
 * to modules is reached as livepatch symbols: vm_commit_limit, vm_committed_as,
 * pcpu_nr_pages, arch_report_meminfo, and what the configuration adds.
 */
#include <linux/cma.h>
#include <linux/hugetlb.h>
#include <linux/livepatch.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/percpu_counter.h>
#include <linux/seq_file.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>
#include <linux/zswap.h>

extern void arch_report_meminfo(struct seq_file *file);

/* Everything that is not a counter of its own. All in pages. */
struct snapshot {
	struct sysinfo info;
	unsigned long available;
	unsigned long swap_cached;
	unsigned long slab_reclaimable;
	unsigned long slab_unreclaimable;
	unsigned long commit_limit;
	unsigned long committed;
	unsigned long percpu;
};

enum source {
	ZERO,
	NODE,		/* a counter of all nodes, in pages */
	NODE_KIB,	/* a counter of all nodes, in KiB */
	ZONE,		/* a counter of all zones, in pages */
	COMPUTED,	/* in pages */
	COMPUTED_KIB,	/* in KiB */
};

struct line {
	const char *label;
	enum source source;
	int item;
	unsigned long (*compute)(const struct snapshot *now);
};

static unsigned long lru(enum lru_list list)
{
	return global_node_page_state(NR_LRU_BASE + list);
}

#define COMPUTE(name, expression)                                     \
	static unsigned long name(const struct snapshot *now)         \
	{                                                             \
		return expression;                                    \
	}

COMPUTE(total, now->info.totalram)
COMPUTE(free, now->info.freeram)
COMPUTE(available, now->available)
COMPUTE(buffers, now->info.bufferram)
COMPUTE(swap_cached, now->swap_cached)
COMPUTE(active, lru(LRU_ACTIVE_ANON) + lru(LRU_ACTIVE_FILE))
COMPUTE(inactive, lru(LRU_INACTIVE_ANON) + lru(LRU_INACTIVE_FILE))
COMPUTE(swap_total, now->info.totalswap)
COMPUTE(swap_free, now->info.freeswap)
COMPUTE(shared, now->info.sharedram)
COMPUTE(reclaimable, now->slab_reclaimable +
		     global_node_page_state(NR_KERNEL_MISC_RECLAIMABLE))
COMPUTE(slab, now->slab_reclaimable + now->slab_unreclaimable)
COMPUTE(slab_reclaimable, now->slab_reclaimable)
COMPUTE(slab_unreclaimable, now->slab_unreclaimable)
COMPUTE(commit_limit, now->commit_limit)
COMPUTE(committed, now->committed)
COMPUTE(commit_free, now->commit_limit > now->committed ?
			     now->commit_limit - now->committed : 0)
COMPUTE(vmalloc_total, (unsigned long)VMALLOC_TOTAL >> 10)
COMPUTE(percpu, now->percpu)
#ifdef CONFIG_ZSWAP
COMPUTE(zswap, zswap_total_pages())
COMPUTE(zswapped, atomic_long_read(&zswap_stored_pages))
#endif
#ifdef CONFIG_MEMORY_FAILURE
COMPUTE(corrupted, atomic_long_read(&num_poisoned_pages))
#endif
#ifdef CONFIG_CMA
COMPUTE(cma_total, totalcma_pages)
#endif

static unsigned long cached(const struct snapshot *now)
{
	long pages = global_node_page_state(NR_FILE_PAGES);

	pages -= now->swap_cached + now->info.bufferram;
	return max(pages, 0L);
}

static const struct line lines[] = {
	{ "MemTotal", COMPUTED, .compute = total },
	{ "MemFree", COMPUTED, .compute = free },
	{ "MemAvailable", COMPUTED, .compute = available },
	{ "Buffers", COMPUTED, .compute = buffers },
	{ "Cached", COMPUTED, .compute = cached },
	{ "SwapCached", COMPUTED, .compute = swap_cached },
	{ "Active", COMPUTED, .compute = active },
	{ "Inactive", COMPUTED, .compute = inactive },
	{ "Active(anon)", NODE, NR_LRU_BASE + LRU_ACTIVE_ANON },
	{ "Inactive(anon)", NODE, NR_LRU_BASE + LRU_INACTIVE_ANON },
	{ "Active(file)", NODE, NR_LRU_BASE + LRU_ACTIVE_FILE },
	{ "Inactive(file)", NODE, NR_LRU_BASE + LRU_INACTIVE_FILE },
	{ "Unevictable", NODE, NR_LRU_BASE + LRU_UNEVICTABLE },
	{ "Mlocked", ZONE, NR_MLOCK },
	{ "SwapTotal", COMPUTED, .compute = swap_total },
	{ "SwapFree", COMPUTED, .compute = swap_free },
#ifdef CONFIG_ZSWAP
	{ "Zswap", COMPUTED, .compute = zswap },
	{ "Zswapped", COMPUTED, .compute = zswapped },
#endif
	{ "Dirty", NODE, NR_FILE_DIRTY },
	{ "Writeback", NODE, NR_WRITEBACK },
	{ "AnonPages", NODE, NR_ANON_MAPPED },
	{ "Mapped", NODE, NR_FILE_MAPPED },
	{ "Shmem", COMPUTED, .compute = shared },
	{ "KReclaimable", COMPUTED, .compute = reclaimable },
	{ "Slab", COMPUTED, .compute = slab },
	{ "SReclaimable", COMPUTED, .compute = slab_reclaimable },
	{ "SUnreclaim", COMPUTED, .compute = slab_unreclaimable },
	{ "KernelStack", NODE_KIB, NR_KERNEL_STACK_KB },
#ifdef CONFIG_SHADOW_CALL_STACK
	{ "ShadowCallStack", NODE_KIB, NR_KERNEL_SCS_KB },
#endif
	{ "PageTables", NODE, NR_PAGETABLE },
	{ "SecPageTables", NODE, NR_SECONDARY_PAGETABLE },
	{ "NFS_Unstable", ZERO },
	{ "Bounce", ZERO },
	{ "WritebackTmp", ZERO },
	{ "CommitLimit", COMPUTED, .compute = commit_limit },
	{ "Committed_AS", COMPUTED, .compute = committed },
	{ "VmallocTotal", COMPUTED_KIB, .compute = vmalloc_total },
	{ "VmallocUsed", NODE, NR_VMALLOC },
	{ "VmallocChunk", ZERO },
	{ "Percpu", COMPUTED, .compute = percpu },
#ifdef CONFIG_MEMORY_FAILURE
	{ "HardwareCorrupted", COMPUTED, .compute = corrupted },
#endif
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	{ "AnonHugePages", NODE, NR_ANON_THPS },
	{ "ShmemHugePages", NODE, NR_SHMEM_THPS },
	{ "ShmemPmdMapped", NODE, NR_SHMEM_PMDMAPPED },
	{ "FileHugePages", NODE, NR_FILE_THPS },
	{ "FilePmdMapped", NODE, NR_FILE_PMDMAPPED },
#endif
#ifdef CONFIG_CMA
	{ "CmaTotal", COMPUTED, .compute = cma_total },
	{ "CmaFree", ZONE, NR_FREE_CMA_PAGES },
#endif
#ifdef CONFIG_UNACCEPTED_MEMORY
	{ "Unaccepted", ZONE, NR_UNACCEPTED },
#endif
	{ "Balloon", NODE, NR_BALLOON_PAGES },
	{ "GPUActive", NODE, NR_GPU_ACTIVE },
	{ "GPUReclaim", NODE, NR_GPU_RECLAIM },
};

static void take(struct snapshot *now)
{
	si_meminfo(&now->info);
	si_swapinfo(&now->info);
	now->available = si_mem_available();
#ifdef CONFIG_SWAP
	now->swap_cached = global_node_page_state(NR_SWAPCACHE);
#endif
	now->slab_reclaimable = global_node_page_state_pages(NR_SLAB_RECLAIMABLE_B);
	now->slab_unreclaimable = global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B);
	now->commit_limit = vm_commit_limit();
	now->committed = percpu_counter_sum_positive(&vm_committed_as);
	now->percpu = pcpu_nr_pages();
}

static void show(struct seq_file *file, const char *label, unsigned long kib)
{
	/* A figure ends in column 24, unless it is too long for that. */
	int pad = max(15 - (int)strlen(label), 1);

	seq_printf(file, "%s:%*s%*lu kB\n", label, pad, "",
		   23 - (int)strlen(label) - pad, kib);
}

static int livepatch_meminfo_show(struct seq_file *file, void *unused)
{
	struct snapshot now = { };
	const struct line *line;

	take(&now);
	for (line = lines; line < lines + ARRAY_SIZE(lines); line++) {
		unsigned long pages = 0;

		switch (line->source) {
		case ZERO:
			break;
		case NODE:
			pages = global_node_page_state(line->item);
			break;
		case NODE_KIB:
			show(file, line->label, global_node_page_state(line->item));
			continue;
		case ZONE:
			pages = global_zone_page_state(line->item);
			break;
		case COMPUTED:
			pages = line->compute(&now);
			break;
		case COMPUTED_KIB:
			show(file, line->label, line->compute(&now));
			continue;
		}
		show(file, line->label, pages << (PAGE_SHIFT - 10));
	}
#ifdef CONFIG_MEMTEST
	memtest_report_meminfo(file);
#endif
	hugetlb_report_meminfo(file);
	arch_report_meminfo(file);

	show(file, "CommitFree", commit_free(&now) << (PAGE_SHIFT - 10));
	return 0;
}

static struct klp_func functions[] = {
	{ .old_name = "meminfo_proc_show", .new_func = livepatch_meminfo_show },
	{ }
};

static struct klp_object objects[] = {
	{ .funcs = functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init livepatch_meminfo_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit livepatch_meminfo_exit(void)
{
}

module_init(livepatch_meminfo_init);
module_exit(livepatch_meminfo_exit);
MODULE_DESCRIPTION("Livepatch sample: one more line in /proc/meminfo");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
