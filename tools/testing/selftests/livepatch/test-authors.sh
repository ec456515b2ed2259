#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What sources of patches may contain: the kernel's own headers and calls, and symbols that
# are exported to others; and what klp new begins.

. "$(dirname "$0")/functions.sh"

headers() {
	local mask
	load_core
	mask=$(umask)
	load_patch klp_test_headers
	expect_file /proc/cmdline "told 0, pending 0"
	# The replacement of a system call is of x86_64.
	[ "$(uname -m)" != x86_64 ] || expect_eq "the mask" "$(umask)" 0525
	unload_patch klp_test_headers
	expect_eq "the mask afterwards" "$(umask)" "$mask"
}
test_case "a patch calls the core as the kernel's own code does, and replaces a system call" headers

reserved() {
	local restrict
	load_core
	restrict=$(cat /proc/sys/kernel/kptr_restrict)
	load_patch klp_test_reserved
	echo 2 >/proc/sys/kernel/kptr_restrict
	expect_file /proc/cmdline "kptr_restrict 2, counted 1"
	echo "$restrict" >/proc/sys/kernel/kptr_restrict
	expect_file /proc/cmdline "kptr_restrict $restrict, counted 1"
	unload_patch klp_test_reserved
}
test_case "symbols that are exported to modules of other names are livepatch symbols" reserved

# new_is LANGUAGE SHARED UNIQUE: that patch of several functions is in effect, in the kernel and
# in the target, where only the second of three functions of one name is replaced.
new_is() {
	expect_file /proc/version "new in $1"
	expect_file /proc/klp_test_values "shared 1 $2 3 unique $3"
}

begun() {
	load_core
	load klp_test_target
	load_patch klp_new_bare
	new_is C 202 4711
	load_patch klp_new_rust
	new_is Rust 203 4712
	expect_file "$KLP_SYSFS/klp_new_rust/replace" 1
	[ -d "$KLP_SYSFS/klp_new_rust/klp_test_target/shared_value,2" ] || fail "the function has no directory"
	[ ! -e "$KLP_SYSFS/klp_new_bare" ] || fail "the first patch was not replaced"
	unload klp_new_bare
	load_patch klp_new_c
	new_is C 202 4711
	unload klp_new_rust
	unload_patch klp_new_c
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42"
}
test_case "patches of several functions that klp new began take effect, and replace each other" begun

private() {
	local original
	original=$(cat /proc/version)
	load_core
	load_patch klp_new_private
	expect_file /proc/version "version: permanent 1"
	unload_patch klp_new_private
	expect_file /proc/version "$original"
}
test_case "a patch includes a header that only the kernel's source has" private

run_tests
