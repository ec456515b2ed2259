#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel that insists on signatures: livepatch.ko changes nothing of what it accepts.
# tools/testing/signatures.sh makes the modules.

. "$(dirname "$0")/functions.sh"

# what_is_said MODULE: by insmod and by the kernel, about a module that is refused.
what_is_said() {
	local before output
	before=$(case_log | wc -l)
	output=$(insmod "$MODULES/$1.ko" 2>&1) && fail "$1 was loaded"
	echo "$output"
	case_log | tail -n "+$((before + 1))"
	! is_loaded "$1" || fail "$1 is in /proc/modules"
}

# refused_alike MODULE REGEX: without livepatch.ko and with it.
refused_alike() {
	local without with
	without=$(what_is_said "$1")
	grep -Eq -- "$2" <<<"$without" || fail "it is said: $without"
	load_core
	with=$(what_is_said "$1")
	expect_eq "what is said with livepatch.ko" "$with" "$without"
	expect_no_log "^livepatch: .*livepatch.cmdline"
}

enforced() {
	expect_file /sys/module/module/parameters/sig_enforce Y
}
test_case "this kernel insists on signatures" enforced

unsigned() { refused_alike livepatch-cmdline-unsigned "Loading of unsigned module is rejected"; }
test_case "an unsigned livepatch is refused" unsigned

changed() { refused_alike livepatch-cmdline-changed "Key was rejected by service|Bad message"; }
test_case "a livepatch that was changed after it was signed is refused" changed

foreign() { refused_alike livepatch-cmdline-foreign "Loading of module with unavailable key is rejected"; }
test_case "a livepatch that is signed with another key is refused" foreign

unsigned_core() {
	what_is_said livepatch-unsigned | grep -q "Loading of unsigned module is rejected" ||
		fail "an unsigned livepatch.ko is not refused for that"
	[ ! -e "$KLP_SYSFS" ] || fail "there is $KLP_SYSFS"
}
test_case "an unsigned livepatch.ko is refused" unsigned_core

signed() {
	local original
	original=$(cat /proc/cmdline)
	load_refused livepatch-cmdline ENOEXEC "livepatch support is disabled"
	load_core
	load_patch livepatch-cmdline
	expect_file /proc/cmdline "$original livepatched=1"
	unload_patch livepatch-cmdline
	expect_no_log "module verification failed"
}
test_case "a signed livepatch is loaded" signed

run_tests
