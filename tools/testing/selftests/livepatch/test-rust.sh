#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What patches in Rust can say: the samples use only a part of it.

. "$(dirname "$0")/functions.sh"

positions() {
	load_core
	load_patch klp_test_rust
	load klp_test_target
	expect_file /proc/klp_test_values "shared 1 22 3 unique 42311"
	# pre_patch has put that into a state, where the replacement finds it.
	expect_file /proc/cmdline "klp_test_rust 7703"
	[ -d "$KLP_SYSFS/klp_test_rust/klp_test_target/shared_value,2" ] ||
		fail "the function has no directory"
	unload_patch klp_test_rust
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42"
}
test_case "functions and symbols are found by object, name and position" positions

callbacks() {
	load_core
	load klp_test_target
	load_patch klp_test_rust
	disable_patch klp_test_rust
	expect_eq "the callbacks" "$(case_log | grep -oE 'klp_test_rust: (pre|post)_.*')" \
		"klp_test_rust: pre_patch: klp_test_target
klp_test_rust: post_patch: klp_test_target
klp_test_rust: post_patch: the kernel
klp_test_rust: pre_unpatch: klp_test_target
klp_test_rust: post_unpatch: klp_test_target"
}
test_case "callbacks are called with their object" callbacks

refused() {
	load_core
	load klp_test_target
	load_refused klp_test_rust ENODEV "pre-patch callback failed" refuse=1
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42"
	! grep -q klp_test_rust /proc/cmdline || fail "/proc/cmdline is patched"
}
test_case "an error of pre_patch refuses the patch" refused

states() {
	load_core
	load klp_test_target
	load_patch klp_test_rust
	load_patch klp_test_rust_next
	expect_log "klp_test_rust_next: found version 3 with 7703"
	expect_file "$KLP_SYSFS/klp_test_rust_next/replace" 1
	[ ! -e "$KLP_SYSFS/klp_test_rust" ] || fail "the first patch was not replaced"
	expect_file /proc/cmdline klp_test_rust_next
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42"
	# Lower versions of the states than those that are there.
	unload klp_test_rust
	load_refused klp_test_rust EINVAL "[Ll]ivepatch patch .*is not compatible"
}
test_case "a patch replaces another one and sees its states" states

run_tests
