#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The modules of samples/livepatch of the kernel source, built from it unchanged:
# they do what their comments say.

. "$(dirname "$0")/functions.sh"

sample() {
	load_core
	load_patch livepatch-sample
	expect_file /proc/cmdline "this has been live patched"
	unload_patch livepatch-sample
	grep -q console= /proc/cmdline || grep -q panic= /proc/cmdline || fail "/proc/cmdline is not restored"
}
test_case "livepatch-sample" sample

# logged REGEX: asked again and again, it looks seldom, as each look reads all of the log.
logged() {
	log_has "$1" || {
		sleep 2
		false
	}
}

# says_in_time REGEX: what it allocates lives for 15 s, or more on a busy machine.
says_in_time() {
	wait_for 120 logged "$1" || fail "the kernel log has no line with '$1' after 120 s"
}

shadow() {
	load_core
	load livepatch-shadow-mod
	# It allocates and frees dummies every second.
	load_patch livepatch-shadow-fix1
	says_in_time "livepatch_shadow_fix1: livepatch_fix1_dummy_alloc: dummy @"
	says_in_time "livepatch_shadow_fix1: livepatch_fix1_dummy_leak_dtor: dummy @"
	load_patch livepatch-shadow-fix2
	says_in_time "livepatch_shadow_fix2: livepatch_fix2_dummy_free: dummy @ .*check counter ="
	unload_patch livepatch-shadow-fix2
	unload_patch livepatch-shadow-fix1
	unload livepatch-shadow-mod
}
test_case "livepatch-shadow-mod, -fix1 and -fix2" shadow

callbacks() {
	load_core
	load livepatch-callbacks-busymod sleep_secs=1
	load_patch livepatch-callbacks-demo
	load livepatch-callbacks-mod
	expect_log "livepatch_callbacks_demo: pre_patch_callback: vmlinux"
	expect_log "livepatch_callbacks_demo: post_patch_callback: vmlinux"
	expect_log "livepatch_callbacks_demo: pre_patch_callback: livepatch_callbacks_mod -> \[MODULE_STATE_COMING\]"
	expect_log "livepatch_callbacks_demo: post_patch_callback: livepatch_callbacks_busymod -> \[MODULE_STATE_LIVE\]"
	unload livepatch-callbacks-mod
	expect_log "livepatch_callbacks_demo: post_unpatch_callback: livepatch_callbacks_mod -> \[MODULE_STATE_GOING\]"
	unload_patch livepatch-callbacks-demo
	expect_log "livepatch_callbacks_demo: post_unpatch_callback: vmlinux"
	# What the callback before patching returns refuses the module.
	load_refused livepatch-callbacks-demo ENODEV "pre-patch callback failed for object 'vmlinux'" pre_patch_ret=-19
}
test_case "livepatch-callbacks-demo, -mod and -busymod" callbacks

run_tests
