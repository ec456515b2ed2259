#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: own-vm
#
# ftrace has switched itself off after a fault of its own, and takes nothing back any more. That lasts
# until the next boot: hence a guest of its own.

. "$(dirname "$0")/functions.sh"

not_removed() {
	local pid
	# A direct call would keep livepatch.ko at once.
	load_core direct=N
	load_refused klp_test_kill_ftrace ENODEV \
		"failed to register ftrace handler for function 'cmdline_proc_show' \(-19\)"
	accept_modules
	rmmod livepatch &
	pid=$!
	wait_for 20 has_state livepatch Unloading || fail "livepatch.ko does not begin to go"
	wait_for 20 log_has 'cannot unregister a function from ftrace \(-19\): livepatch.ko cannot be removed any more' ||
		fail "the kernel log does not say why livepatch.ko stays"
	# The loader still calls it, for as long as the machine runs.
	sleep 3
	load klp_test_plain
	unload klp_test_plain
	has_state livepatch Unloading || fail "livepatch.ko is gone, and the kernel's module loader calls it"
	kill -0 "$pid" || fail "rmmod has ended"
}
test_case "where ftrace has failed, livepatch.ko is not freed" not_removed

run_tests
