#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Cases whose verdict is known: the first word of each description is what the
# harness must find.

export CLEANUP_TIMEOUT=5 TRANSITION_TIMEOUT=5
# shellcheck source=../../selftests/livepatch/functions.sh
. "$(dirname "$0")/functions.sh"

log() { echo "$1" >/dev/kmsg; }

nothing() { :; }
test_case "PASS an empty case" nothing

plain_failure() {
	false
	true
}
test_case "FAIL a command that fails in the middle" plain_failure

pipe_failure() {
	false | cat
	true
}
test_case "FAIL a command that fails in a pipe" pipe_failure

# shellcheck disable=SC2154 # it is not, on purpose
unset_variable() { echo "$no_such_variable"; }
test_case "FAIL an unset variable" unset_variable

explicit() { fail "for a reason"; }
test_case "FAIL an explicit failure" explicit

swallowed() {
	local output
	# shellcheck disable=SC2034
	output=$(fail "in a shell within") || true
}
test_case "FAIL a failure within a substitution whose status is ignored" swallowed

equal() { expect_eq number $((1 + 1)) 2; }
test_case "PASS an expected value" equal

unequal() { expect_eq number $((1 + 1)) 3; }
test_case "FAIL an unexpected value" unequal

file() { expect_file /proc/sys/kernel/ostype Linux; }
test_case "PASS an expected file content" file

other_file() { expect_file /proc/sys/kernel/ostype Windows; }
test_case "FAIL an unexpected file content" other_file

no_file() { expect_file /no/such/file ""; }
test_case "FAIL a missing file" no_file

logged() {
	log "a line of this case"
	expect_log "^a line of .* case$"
	expect_no_log "a line of another case"
}
test_case "PASS an expected log line, and one that is rightly absent" logged

logged_before() { expect_log "a line of this case"; }
test_case "FAIL a log line of an earlier case" logged_before

logged_unwanted() {
	log "a line that should not be"
	expect_no_log "should not be"
}
test_case "FAIL an unwanted log line" logged_unwanted

warns() { log "WARNING: CPU: 0 PID: 1 at this/is/a/test.c:1 nothing+0x0/0x1"; }
test_case "FAIL a warning in the kernel log" warns
test_case "PASS a case after a warning" nothing

# warn FUNCTION: as the kernel does.
warn() {
	log "------------[ cut here ]------------"
	log "WARNING: this/is/a/test.c:1 at $1+0x0/0x1, CPU#0: test/1"
	log "Call Trace:"
	log "---[ end trace 0000000000000000 ]---"
}

warns_as_expected() {
	expect_warning "WARNING: .* at this_one\\+0x"
	warn this_one
}
test_case "PASS a warning that is expected" warns_as_expected

warns_unexpectedly() { warn this_one; }
test_case "FAIL a warning that only the case before has expected" warns_unexpectedly

warns_otherwise() {
	expect_warning "WARNING: .* at this_one\\+0x"
	warn that_one
}
test_case "FAIL another warning than the one that is expected" warns_otherwise

warns_twice() {
	expect_warning "WARNING: .* at this_one\\+0x"
	warn this_one
	warn this_one
}
test_case "FAIL two warnings where one is expected" warns_twice

does_not_warn() { expect_warning "WARNING: .* at this_one\\+0x"; }
test_case "FAIL an expected warning that does not come" does_not_warn

warns_and_more() {
	expect_warning "WARNING: .* at this_one\\+0x"
	warn this_one
	log "BUG: sleeping function called from a test"
}
test_case "FAIL a BUG after a warning that is expected" warns_and_more

bug() { log "BUG: sleeping function called from a test"; }
test_case "FAIL a BUG in the kernel log" bug

lockdep() { log "INFO: trying to register non-static key in a test"; }
test_case "FAIL lockdep text in the kernel log" lockdep

circular() { log "possible circular locking dependency detected in a test"; }
test_case "FAIL a lock order report in the kernel log" circular

leak() { log "kmemleak: unreferenced object 0x0 (size 0) in a test"; }
test_case "FAIL a leak report in the kernel log" leak

fault() { log "Oops: general protection fault in a test"; }
test_case "FAIL an oops in the kernel log" fault

forgets_log() { dmesg --clear; }
test_case "FAIL a cleared kernel log" forgets_log

loads() {
	load harness_good
	is_loaded harness-good
	unload harness_good
	! is_loaded harness_good
}
test_case "PASS a module loaded and unloaded" loads

loads_missing() { load harness_missing; }
test_case "FAIL a module that is not there" loads_missing

loads_twice() {
	load harness_good
	load harness_good
}
test_case "FAIL a module loaded twice" loads_twice

forgets_module() { load harness_good; }
test_case "PASS a module left for the harness to unload" forgets_module

finds_it_gone() {
	if is_loaded harness_good; then
		fail "left by the case before"
	fi
}
test_case "PASS nothing is left from the case before" finds_it_gone

refused() { load_refused harness_refused ENODEV "no, thank you"; }
test_case "PASS a module refused as expected" refused

refused_otherwise() { load_refused harness_refused EINVAL "no, thank you"; }
test_case "FAIL a module refused with another errno" refused_otherwise

refused_silently() { load_refused harness_refused ENODEV "some other words"; }
test_case "FAIL a module refused with other words" refused_silently

refused_stale() {
	log "no, thank you, but from before"
	load_refused harness_refused ENODEV "from before"
}
test_case "FAIL words that were logged before the refusal" refused_stale

not_refused() { load_refused harness_good EINVAL ""; }
test_case "FAIL a module that was to be refused and is not" not_refused

unknown_errno() { load_refused harness_refused ENOSUCHERRNO ""; }
test_case "FAIL an errno that does not exist" unknown_errno

stuck() {
	load harness_stuck
	unload_refused harness_stuck
}
test_case "FAIL a module that cannot be unloaded" stuck
test_case "PASS a case after a module that cannot be unloaded" nothing

unload_missing() { unload harness_good; }
test_case "FAIL unloading a module that is not loaded" unload_missing

patch_missing() { disable_patch no_such_patch; }
test_case "FAIL disabling a patch that is not there" patch_missing

condition_met() { wait_for 5 true; }
test_case "PASS a condition that is met" condition_met

condition_unmet() { wait_for 1 false; }
test_case "FAIL a condition that is not met in time" condition_unmet

leaves_process() {
	sleep 987654 &
	echo $! >/tmp/leftover.pid
}
test_case "PASS a process left for the harness to kill" leaves_process

has_ended() { ! kill -0 "$1"; }
process_gone() { wait_for 5 has_ended "$(cat /tmp/leftover.pid)"; }
test_case "PASS the process is gone" process_gone

killed() { kill -KILL "$BASHPID"; }
test_case "FAIL a case that is killed" killed

run_tests
