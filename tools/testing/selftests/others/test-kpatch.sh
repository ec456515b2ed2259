#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A livepatch with the sections of kpatch-build's, out of which it makes its patch when it is
# loaded. tools/testing/others.sh makes the modules.

# shellcheck source=tools/testing/selftests/livepatch/functions.sh disable=SC1091
. "$(dirname "$0")/functions.sh"

PATCH=klp_others_kpatch

# By the shell itself.
read_version() { read -r _ </proc/version; }

whole_life() {
	local version shell=$BASHPID cmdline
	version=$(</proc/version)
	cmdline=$(</proc/cmdline)
	core
	load klp_others_target
	others 11 12 original
	load_patch $PATCH
	expect_file "$KLP_SYSFS/$PATCH/replace" 1
	expect_file /proc/version "kpatch: $cmdline"
	others 21 2020 patched
	# Others pass this tracepoint, too, but not this shell.
	trace_some sched/sched_process_free read_version
	traced " sched_process_free: comm=.* pid=$shell "

	unload klp_others_target
	expect_file /proc/version "kpatch: $cmdline"
	load klp_others_target
	others 11 2010 patched
	disable_patch $PATCH
	others 21 22 original
	unload $PATCH
	expect_file /proc/version "$version"
	expect_callbacks pre_patch post_patch pre_unpatch post_unpatch
}
test_case "a livepatch with kpatch-build's sections" whole_life

warns() {
	core
	load klp_others_target warn=1
	load_patch $PATCH
	expect_no_log "WARNING:"
	expect_warning "WARNING: .*klp_others_special"
	others 11 2010 patched
	others 21 2020 patched
	unload_patch $PATCH
}
test_case "a new function warns, once" warns

run_tests
