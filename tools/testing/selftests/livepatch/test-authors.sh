#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What sources of patches may contain: the kernel's own headers and calls, and symbols that
# are exported to others.

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

run_tests
