#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Targets that come and go.

. "$(dirname "$0")/functions.sh"

values() { expect_file /proc/klp_test_values "shared $1 $2 $3 unique $4"; }

# late FILE
late() {
	load_core
	load "$1"
	wait_for_transition klp_test_late
	expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 0
	for _ in 1 2 3; do
		load klp_test_target
		expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 1
		values 1 2 3 42303
		unload klp_test_target
		expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 0
	done
	expect_log "applying patch 'klp_test_late' to loading module 'klp_test_target'"
	expect_log "reverting patch 'klp_test_late' on unloading module 'klp_test_target'"
	load klp_test_target
	disable_patch klp_test_late
	values 1 2 3 42
}
late_mainline() { late klp_test_late; }
late_draft() { late klp_test_draft; }
test_case "a target that comes, goes and comes again is relocated and patched" late_mainline
test_case "the same in the dialect of 2016" late_draft

refuses_target() {
	load_core
	load_patch klp_test_patch function=no_such_function
	load_refused klp_test_target EINVAL \
		"patch 'klp_test_patch' failed for module 'klp_test_target', refusing to load module 'klp_test_target'"
	expect_log "failed to initialize patch 'klp_test_patch' for module 'klp_test_target' \(-22\)"
	unload_patch klp_test_patch
	load klp_test_target
	values 1 2 3 42
}
test_case "a target that cannot be patched is refused, and loads without the patch" refuses_target

refuses_init_code() {
	load_core
	# It is there while the target comes, and freed when the target is live. By this name, as clang
	# leaves no other one.
	load_patch klp_test_patch function=init_module
	load_refused klp_test_target EINVAL \
		"symbol 'init_module' in object 'klp_test_target' is init code or data, which is freed"
	unload_patch klp_test_patch
	load klp_test_target
	values 1 2 3 42
}
test_case "a target is refused whose init function would be patched" refuses_init_code

target_fails() {
	load_core
	load_patch klp_test_late
	for _ in 1 2; do
		load_refused klp_test_target ENODEV \
			"reverting patch 'klp_test_late' on unloading module 'klp_test_target'" fail_init=1
		expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 0
	done
	load klp_test_target
	values 1 2 3 42303
}
test_case "a target whose init function fails leaves nothing behind" target_fails

earlier_target() {
	load klp_test_target
	load_core
	load_patch klp_test_late
	values 1 2 3 42303
	# It was there before livepatch.ko, and may go all the same.
	unload klp_test_target
	expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 0
	load klp_test_target
	values 1 2 3 42303
}
test_case "a target that was there before livepatch.ko is patched, and may go" earlier_target

target_being_loaded() {
	insmod "$MODULES/klp_test_target.ko" slow_init=1 &
	# It says that it loads before it has parameters.
	wait_for 20 reads /sys/module/klp_test_target/parameters/slow_init Y || fail "the target does not load"
	load_core
	load_patch klp_test_late
	expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 0
	has_state klp_test_target Loading || fail "the target was too fast"
	be_quick klp_test_target init
	wait
	# Its code has run: only a transition could patch it.
	expect_log "patch 'klp_test_late' is not applied to module 'klp_test_target', which was being loaded"
	expect_file "$KLP_SYSFS/klp_test_late/klp_test_target/patched" 0
	values 1 2 3 42
	load_patch klp_test_stack_5
	values 1 2 3 9005
	unload_patch klp_test_stack_5
	unload klp_test_target
	load klp_test_target
	values 1 2 3 42303
}
test_case "a target that was being loaded before livepatch.ko stays as it is" target_being_loaded

run_tests
