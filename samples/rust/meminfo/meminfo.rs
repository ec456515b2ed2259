// SPDX-License-Identifier: GPL-2.0

//! Replaces what `/proc/meminfo` shows: the same figures, and `CommitFree`, which is what may
//! still be committed.
//!
//! It follows Linux 7.3. What it takes to get the figures and is not exported to modules is
//! reached as livepatch symbols.

use bindings::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use livepatch::prelude::*;

livepatch::bindings!();

livepatch::symbols! {
    // SAFETY: All of these functions may be called by any task, the report functions by one that
    // shows a file. The variables are the kernel's and are always there.
    unsafe {
        fn si_meminfo(info: &mut sysinfo);
        fn swap_info(info: &mut sysinfo);
        fn si_mem_available() -> c_long;
        fn vm_commit_limit() -> c_ulong;
        fn pcpu_nr_pages() -> c_ulong;
        fn vmalloc_total() -> c_ulong;
        fn __percpu_counter_sum(counter: &Opaque<percpu_counter>) -> i64;
        fn memtest_report_meminfo(file: &SeqFile);
        fn hugetlb_report_meminfo(file: &SeqFile);
        fn arch_report_meminfo(file: &SeqFile);

        static vm_node_stat: [Atomic<i64>; NR_VM_NODE_STAT_ITEMS];
        static vm_zone_stat: [Atomic<i64>; NR_VM_ZONE_STAT_ITEMS];
        static vm_committed_as: Opaque<percpu_counter>;
    }
}

#[cfg(CONFIG_ZSWAP)]
livepatch::symbols! {
    // SAFETY: As above.
    unsafe {
        fn zswap_total_pages() -> c_ulong;
        static zswap_stored_pages: Atomic<i64>;
    }
}

#[cfg(CONFIG_MEMORY_FAILURE)]
livepatch::symbols! {
    // SAFETY: As above.
    unsafe { static num_poisoned_pages: Atomic<i64>; }
}

#[cfg(CONFIG_CMA)]
livepatch::symbols! {
    // SAFETY: As above.
    unsafe { static totalcma_pages: Atomic<usize>; }
}

livepatch! {
    name: "livepatch-meminfo-rust",
    description: "Livepatch sample in Rust: one more line in /proc/meminfo",
    license: "GPL",
    objects: [
        vmlinux { functions: [meminfo_proc_show(_, _) => show] },
    ],
}

const NR_VM_NODE_STAT_ITEMS: usize = node_stat_item_NR_VM_NODE_STAT_ITEMS as usize;
const NR_VM_ZONE_STAT_ITEMS: usize = zone_stat_item_NR_VM_ZONE_STAT_ITEMS as usize;

/// A counter. While a sum is spread over the processors, it can be below zero for a moment.
fn counter(counters: &[Atomic<i64>], item: u32) -> usize {
    let value = counters
        .get(item as usize)
        .map_or(0, |counter| counter.load(Relaxed));
    value.max(0) as usize
}

/// A counter of all nodes, in pages for the most part.
fn node(item: u32) -> usize {
    counter(vm_node_stat(), item)
}

/// A counter of all zones, in pages.
fn zone(item: u32) -> usize {
    counter(vm_zone_stat(), item)
}

/// The pages on a list of those that can be reclaimed.
fn lru(list: u32) -> usize {
    node(node_stat_item_NR_LRU_BASE + list)
}

/// The file that is shown.
struct Report<'a>(&'a SeqFile);

impl Report<'_> {
    fn kib(&self, label: &str, kib: usize) {
        // A figure ends in column 24, unless it is too long for that.
        let pad = 15usize.saturating_sub(label.len()).max(1);
        let width = 23usize.saturating_sub(label.len() + pad);
        let blank = "";
        seq_print!(self.0, "{label}:{blank:pad$}{kib:width$} kB\n");
    }

    fn pages(&self, label: &str, pages: usize) {
        self.kib(label, pages << (PAGE_SHIFT - 10));
    }
}

extern "C" fn show(file: Option<&SeqFile>, _unused: *mut c_void) -> c_int {
    let Some(file) = file else { return 0 };
    let report = Report(file);

    let mut info = sysinfo::default();
    si_meminfo(&mut info);
    swap_info(&mut info);
    let available = si_mem_available().max(0) as usize;
    #[cfg(CONFIG_SWAP)]
    let swap_cached = node(node_stat_item_NR_SWAPCACHE);
    #[cfg(not(CONFIG_SWAP))]
    let swap_cached = 0;
    let cached = node(node_stat_item_NR_FILE_PAGES).saturating_sub(swap_cached + info.bufferram);
    let reclaimable = node(node_stat_item_NR_SLAB_RECLAIMABLE_B);
    let unreclaimable = node(node_stat_item_NR_SLAB_UNRECLAIMABLE_B);
    let commit_limit = vm_commit_limit();
    let committed = __percpu_counter_sum(vm_committed_as()).max(0) as usize;

    report.pages("MemTotal", info.totalram);
    report.pages("MemFree", info.freeram);
    report.pages("MemAvailable", available);
    report.pages("Buffers", info.bufferram);
    report.pages("Cached", cached);
    report.pages("SwapCached", swap_cached);
    report.pages(
        "Active",
        lru(lru_list_LRU_ACTIVE_ANON) + lru(lru_list_LRU_ACTIVE_FILE),
    );
    report.pages(
        "Inactive",
        lru(lru_list_LRU_INACTIVE_ANON) + lru(lru_list_LRU_INACTIVE_FILE),
    );
    report.pages("Active(anon)", lru(lru_list_LRU_ACTIVE_ANON));
    report.pages("Inactive(anon)", lru(lru_list_LRU_INACTIVE_ANON));
    report.pages("Active(file)", lru(lru_list_LRU_ACTIVE_FILE));
    report.pages("Inactive(file)", lru(lru_list_LRU_INACTIVE_FILE));
    report.pages("Unevictable", lru(lru_list_LRU_UNEVICTABLE));
    report.pages("Mlocked", zone(zone_stat_item_NR_MLOCK));
    report.pages("SwapTotal", info.totalswap);
    report.pages("SwapFree", info.freeswap);
    #[cfg(CONFIG_ZSWAP)]
    {
        report.pages("Zswap", zswap_total_pages());
        report.pages("Zswapped", zswap_stored_pages().load(Relaxed) as usize);
    }
    report.pages("Dirty", node(node_stat_item_NR_FILE_DIRTY));
    report.pages("Writeback", node(node_stat_item_NR_WRITEBACK));
    report.pages("AnonPages", node(node_stat_item_NR_ANON_MAPPED));
    report.pages("Mapped", node(node_stat_item_NR_FILE_MAPPED));
    report.pages("Shmem", info.sharedram);
    report.pages(
        "KReclaimable",
        reclaimable + node(node_stat_item_NR_KERNEL_MISC_RECLAIMABLE),
    );
    report.pages("Slab", reclaimable + unreclaimable);
    report.pages("SReclaimable", reclaimable);
    report.pages("SUnreclaim", unreclaimable);
    report.kib("KernelStack", node(node_stat_item_NR_KERNEL_STACK_KB));
    #[cfg(CONFIG_SHADOW_CALL_STACK)]
    report.kib("ShadowCallStack", node(node_stat_item_NR_KERNEL_SCS_KB));
    report.pages("PageTables", node(node_stat_item_NR_PAGETABLE));
    report.pages("SecPageTables", node(node_stat_item_NR_SECONDARY_PAGETABLE));
    report.pages("NFS_Unstable", 0);
    report.pages("Bounce", 0);
    report.pages("WritebackTmp", 0);
    report.pages("CommitLimit", commit_limit);
    report.pages("Committed_AS", committed);
    report.kib("VmallocTotal", vmalloc_total() >> 10);
    report.pages("VmallocUsed", node(node_stat_item_NR_VMALLOC));
    report.pages("VmallocChunk", 0);
    report.pages("Percpu", pcpu_nr_pages());
    memtest_report_meminfo(file);
    #[cfg(CONFIG_MEMORY_FAILURE)]
    report.pages(
        "HardwareCorrupted",
        num_poisoned_pages().load(Relaxed) as usize,
    );
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    {
        report.pages("AnonHugePages", node(node_stat_item_NR_ANON_THPS));
        report.pages("ShmemHugePages", node(node_stat_item_NR_SHMEM_THPS));
        report.pages("ShmemPmdMapped", node(node_stat_item_NR_SHMEM_PMDMAPPED));
        report.pages("FileHugePages", node(node_stat_item_NR_FILE_THPS));
        report.pages("FilePmdMapped", node(node_stat_item_NR_FILE_PMDMAPPED));
    }
    #[cfg(CONFIG_CMA)]
    {
        report.pages("CmaTotal", totalcma_pages().load(Relaxed));
        report.pages("CmaFree", zone(zone_stat_item_NR_FREE_CMA_PAGES));
    }
    #[cfg(CONFIG_UNACCEPTED_MEMORY)]
    report.pages("Unaccepted", zone(zone_stat_item_NR_UNACCEPTED));
    report.pages("Balloon", node(node_stat_item_NR_BALLOON_PAGES));
    report.pages("GPUActive", node(node_stat_item_NR_GPU_ACTIVE));
    report.pages("GPUReclaim", node(node_stat_item_NR_GPU_RECLAIM));
    hugetlb_report_meminfo(file);
    arch_report_meminfo(file);

    report.pages("CommitFree", commit_limit.saturating_sub(committed));
    0
}
