#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The samples: loaded, disabled, loaded again.

. "$(dirname "$0")/functions.sh"

# cmdline MODULE
cmdline() {
	local original name
	name=$(module_name "$1")
	original=$(cat /proc/cmdline)
	load_core
	for _ in 1 2; do
		load_patch "$1"
		expect_file /proc/cmdline "$original livepatched=1"
		expect_file "$KLP_SYSFS/$name/vmlinux/patched" 1
		[ -d "$KLP_SYSFS/$name/vmlinux/cmdline_proc_show,1" ] ||
			fail "the function has no directory"
		unload_patch "$1"
		expect_file /proc/cmdline "$original"
		[ ! -e "$KLP_SYSFS/$name" ] || fail "the patch's directory is still there"
	done
	unload_core
	[ ! -e "$KLP_SYSFS" ] || fail "$KLP_SYSFS is still there"
}
cmdline_in_c() { cmdline livepatch-cmdline; }
cmdline_in_rust() { cmdline livepatch-cmdline-rust; }
test_case "/proc/cmdline is patched, restored and patched again" cmdline_in_c
test_case "/proc/cmdline is patched in Rust, restored and patched again" cmdline_in_rust

# labels: the first column of /proc/meminfo, without what the patch adds.
labels() { sed 's/:.*//' /proc/meminfo | grep -v '^CommitFree$'; }

# steady: lines whose figures do not change by themselves. What is mapped directly does not, but
# a module that is loaded may split one of its large pages.
steady() {
	awk '/^(MemTotal|SwapTotal|CommitLimit|VmallocTotal|Percpu):/
		/^DirectMap/ { mapped += $2 }
		END { print "mapped directly:", mapped, "kB" }' /proc/meminfo
}

# meminfo MODULE
meminfo() {
	local labels steady
	load_core
	labels=$(labels)
	steady=$(steady)
	for _ in 1 2; do
		load_patch "$1"
		expect_eq "the list of figures" "$(labels)" "$labels"
		expect_eq "the figures that are constant" "$(steady)" "$steady"
		grep -Eq '^CommitFree: +[0-9]+ kB$' /proc/meminfo || fail "no line CommitFree"
		unload_patch "$1"
		! grep -q CommitFree /proc/meminfo || fail "still patched"
	done
}
meminfo_in_c() { meminfo livepatch-meminfo; }
meminfo_in_rust() { meminfo livepatch-meminfo-rust; }
test_case "/proc/meminfo is patched, restored and patched again" meminfo_in_c
test_case "/proc/meminfo is patched in Rust, restored and patched again" meminfo_in_rust

# shape: the labels of /proc/meminfo, and how long each line is.
shape() { awk '{ print $1, length($0) }' /proc/meminfo; }

same_lines() {
	local in_c
	load_core
	load_patch livepatch-meminfo
	in_c=$(shape)
	unload_patch livepatch-meminfo
	load_patch livepatch-meminfo-rust
	expect_eq "the labels and lengths of all lines" "$(shape)" "$in_c"
}
test_case "both /proc/meminfo patches show the same lines" same_lines

module_target() {
	load_core
	load klp_target
	expect_file /proc/klp_target_first "first: read 1 times"
	expect_file /proc/klp_target_second "second: read 1001 times"
	for round in 1 2; do
		load_patch livepatch-target
		expect_file /proc/klp_target_first "first: read $((round * 2)) times"
		expect_file /proc/klp_target_second "second: read $((1000 + round * 2)) times (livepatched)"
		unload_patch livepatch-target
		expect_file /proc/klp_target_first "first: read $((round * 2 + 1)) times"
		expect_file /proc/klp_target_second "second: read $((1001 + round * 2)) times"
	done
}
test_case "the second of two functions of one name in a module is patched" module_target

all_at_once() {
	load_core
	load_patch livepatch-cmdline
	load_patch livepatch-meminfo
	load_patch livepatch-target
	load klp_target
	grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched"
	grep -q CommitFree /proc/meminfo || fail "/proc/meminfo is not patched"
	grep -q livepatched /proc/klp_target_second || fail "the module is not patched"
	expect_file "$KLP_SYSFS/livepatch_cmdline/stack_order" 1
	expect_file "$KLP_SYSFS/livepatch_target/stack_order" 3
	unload_refused livepatch
}
test_case "all samples at once, and livepatch.ko cannot be removed under them" all_at_once

taints() {
	load_core
	load_patch livepatch-cmdline
	[ $(($(cat /proc/sys/kernel/tainted) >> 15 & 1)) -eq 1 ] || fail "the kernel has no taint flag K"
	grep -q K /sys/module/livepatch_cmdline/taint || fail "the module has no taint flag K"
	! grep -q K /sys/module/livepatch/taint || fail "livepatch.ko has taint flag K"
}
test_case "kernel and patch module are tainted TAINT_LIVEPATCH" taints

run_tests
