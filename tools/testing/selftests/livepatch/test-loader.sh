#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's module loader, with livepatch.ko and without it.

. "$(dirname "$0")/functions.sh"

REFUSAL="livepatch_cmdline: module is marked as livepatch module, but livepatch support is disabled"

rounds() {
	load_refused livepatch-cmdline ENOEXEC "$REFUSAL"
	for round in $(seq 50); do
		load_core
		if [ $((round % 10)) -eq 0 ]; then
			load_patch livepatch-cmdline
			unload_patch livepatch-cmdline
		fi
		load klp_test_plain
		unload_core
		unload klp_test_plain
		[ $((round % 10)) -ne 5 ] || load_refused livepatch-cmdline ENOEXEC "$REFUSAL"
	done
	load_refused livepatch-cmdline ENOEXEC "$REFUSAL"
	[ ! -e "$KLP_SYSFS" ] || fail "$KLP_SYSFS is still there"
	! grep -E 'module_(elf_check_arch|finalize|arch_cleanup)' /sys/kernel/tracing/enabled_functions ||
		fail "a function is still hooked"
}
test_case "50 rounds of loading and unloading leave the kernel's refusal in place" rounds

ordinary() {
	local core file
	for core in without with; do
		[ $core = without ] || load_core
		load klp_test_plain
		unload klp_test_plain
		for file in $(compressed klp_test_plain); do
			klp_finit "$file"
			unload klp_test_plain
		done
		# kmod undoes what the kernel does not; Debian's knows no gzip.
		for file in $(compressed klp_test_plain xz zstd); do
			load "${file##*/}"
			unload klp_test_plain
		done
	done
}
test_case "ordinary modules load as before, compressed ones too" ordinary

compressed_livepatch() {
	local file
	load_core
	file=$(compressed livepatch-cmdline)
	if [ -n "$file" ]; then
		klp_finit "$file"
	else
		# Only kmod does it for this kernel.
		load livepatch-cmdline-xz.ko.xz
	fi
	wait_for_transition livepatch_cmdline
	grep -q 'livepatched=1$' /proc/cmdline || fail "/proc/cmdline is not patched"
	unload_patch livepatch_cmdline
}
test_case "a compressed livepatch loads" compressed_livepatch

# nothing_left: of a patch that failed.
nothing_left() {
	[ -z "$(ls "$KLP_SYSFS")" ] || fail "something is left in $KLP_SYSFS"
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42"
}

failing_init() {
	load_core
	load klp_test_target
	load_refused klp_test_patch ENOMSG . function=unique_value fault=early
	nothing_left
	for _ in 1 2 3; do
		load_refused klp_test_patch ENOMSG \
			"module 'klp_test_patch' failed after it had enabled its patch: disabling the patch" \
			function=unique_value fault=late
		nothing_left
	done
	load_patch klp_test_patch function=unique_value
	expect_file /proc/klp_test_values "shared 1 2 3 unique 7000"
}
test_case "a patch module whose init function fails leaves nothing behind" failing_init

enabled_twice() {
	load_core
	load klp_test_target
	load_refused klp_test_patch EINVAL "module klp_test_patch has enabled a patch already" \
		function=unique_value fault=again
	nothing_left
}
test_case "a module cannot enable its patch twice" enabled_twice

core_again() {
	load_core
	! insmod "$MODULES/livepatch.ko" 2>/dev/null || fail "it was loaded twice"
	unload_core
	load_core debug=1
	load_patch livepatch-cmdline
	expect_log "'livepatch_cmdline': initializing patching transition"
	expect_log "'livepatch_cmdline': completing patching transition"
	echo 0 >/sys/module/livepatch/parameters/debug
	disable_patch livepatch-cmdline
	expect_no_log "initializing unpatching transition"
}
test_case "livepatch.ko loads once, and debug= can be changed" core_again

run_tests
