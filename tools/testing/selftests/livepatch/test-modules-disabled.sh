#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: own-vm
#
# kernel.modules_disabled: no livepatch comes or goes any more, but those that are there
# can be disabled. It cannot be taken back: hence a guest of its own.

. "$(dirname "$0")/functions.sh"

nothing_left() { [ -z "$(ls "$KLP_SYSFS")" ]; }

modules_disabled() {
	local original output
	original=$(cat /proc/cmdline)
	load_core
	load_patch livepatch-cmdline
	expect_file /proc/cmdline "$original livepatched=1"
	echo 1 >/proc/sys/kernel/modules_disabled
	# Nobody can unload them.
	accept_modules

	load_refused livepatch-meminfo EPERM ''
	expect_no_log 'livepatch_meminfo'
	output=$(rmmod livepatch_cmdline 2>&1) && fail "a module was unloaded"
	output=$(rmmod livepatch 2>&1) && fail "livepatch.ko was unloaded"
	grep -Eq 'in use|not permitted' <<<"$output" || fail "rmmod says: $output"

	expect_file /proc/cmdline "$original livepatched=1"
	disable_patch livepatch-cmdline
	expect_file /proc/cmdline "$original"
	wait_for 20 nothing_left || fail "something is left in $KLP_SYSFS"
}
test_case "with modules_disabled no livepatch is loaded, and one that is there can be disabled" modules_disabled

run_tests
