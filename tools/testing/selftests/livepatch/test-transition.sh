#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Transitions that have to wait.

. "$(dirname "$0")/functions.sh"

PATCH=klp_test_sleeper_patch
RELEASE=/sys/module/klp_test_target/parameters/release

pending() { expect_file "$KLP_SYSFS/$PATCH/transition" 1; }

held() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	switched $PATCH
	for _ in 1 2 3 4; do
		pending
		# It is in effect, for all but the one.
		unique 4242
		sleep 0.3
	done
	sleeping 1 || fail "the task was disturbed"
	expect_file "$KLP_SYSFS/$PATCH/enabled" 1
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	unique 4242
}
test_case "a task that sleeps in a function holds the end of the transition until it leaves" held

reversed() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	pending
	disable_patch $PATCH
	unique 42
	expect_log "'$PATCH': unpatching complete"
	wait_for 20 test ! -e "$KLP_SYSFS/$PATCH" || fail "the patch is still there"
	unload $PATCH
	sleeping 1 || fail "the task was disturbed"
	load $PATCH
	switched $PATCH
	unique 4242
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	unique 4242
}
test_case "a pending transition is reversed, and can be started again" reversed

unpatching_held() {
	load_core
	load klp_test_target
	load_patch $PATCH release=0
	unique 4242
	cat /proc/klp_test_sleep_deaf >/dev/null &
	wait_for 20 grep -q 1 /sys/module/$PATCH/parameters/sleepers || fail "nobody sleeps"
	set_patch $PATCH 0
	switched $PATCH
	unique 42
	unload_refused $PATCH
	# And back.
	set_patch $PATCH 1
	wait_for_transition $PATCH
	unique 4242
	set_patch $PATCH 0
	pending
	echo 1 >/sys/module/$PATCH/parameters/release
	wait_for_transition $PATCH
	unique 42
}
test_case "a task in the new function holds the end of the way back, which can be reversed" unpatching_held

busy() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	pending
	load_refused klp_test_patch EBUSY "another one is in transition" function=unique_value
	pending
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	load_patch klp_test_patch function=unique_value
	unique 7000
}
test_case "a second patch is refused while one is in transition" busy

signaled() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep
	load $PATCH
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	expect_log "livepatch: signaling remaining tasks"
	unique 4242
}
test_case "a task that can be woken is woken" signaled

signaled_later() {
	load_core signal_after=1000000
	load klp_test_target
	sleep_in_target klp_test_sleep
	load $PATCH
	switched $PATCH
	# Longer than it takes otherwise.
	sleep 5
	pending
	sleeping 1 || fail "the task was woken"
	expect_no_log "signaling remaining tasks"
	unique 4242
	echo 0 >/sys/module/livepatch/parameters/signal_after
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	expect_log "livepatch: signaling remaining tasks"
}
test_case "the parameter signal_after says when, and can be changed meanwhile" signaled_later

# More tasks than CPUs, which hardly ever leave the kernel and never sleep: the
# transition finds them all preempted somewhere in it.
cpus_busy() {
	local pids=()
	load_core debug=2
	load klp_test_target
	for _ in $(seq $(($(nproc) * 2))); do
		while :; do cat /proc/klp_test_busy; done >/dev/null &
		pids+=($!)
	done
	sleep 1
	for _ in 1 2 3; do
		load_patch klp_test_stack_5
		unique 9005
		unload_patch klp_test_stack_5
		unique 42
	done
	# Nobody was in the way: it was not luck, either.
	expect_no_log "klp_try_switch_task: .* has an unreliable stack"
	kill "${pids[@]}"
}
test_case "CPUs that are busy in the kernel do not hold a transition back" cpus_busy

fresh_targets() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	switched $PATCH
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	unload klp_test_target
	load klp_test_target release=1
	unique 4242
}
test_case "a target is patched after a transition that had to wait" fresh_targets

# The patch is done with, but not freed yet: a CPU that is busy in the kernel keeps ftrace
# waiting. Then its module goes, as its init function fails.
retiring() {
	local insmod
	load_core
	load klp_test_target
	for _ in 1 2 3; do
		insmod "$MODULES/klp_test_patch.ko" function=unique_value fault=late slow_init=1 2>/dev/null &
		insmod=$!
		wait_for 20 reads "$KLP_SYSFS/klp_test_patch/enabled" 1 || fail "the patch is not enabled"
		wait_for_transition klp_test_patch
		while kill -0 $insmod 2>/dev/null; do cat /proc/klp_test_busy; done >/dev/null &
		disable_patch klp_test_patch
		be_quick klp_test_patch init
		! wait $insmod || fail "insmod did not fail"
		[ ! -e "$KLP_SYSFS/klp_test_patch" ] || fail "the patch is still there"
		unique 42
		wait
	done
	expect_no_log "failed after it had enabled its patch"
}
test_case "a patch that is disabled while its module fails is freed before the module" retiring

writes() {
	load_core
	load_patch livepatch-cmdline
	! (echo 1 >"$KLP_SYSFS/livepatch_cmdline/enabled") 2>/dev/null || fail "enabling twice was accepted"
	! (echo x >"$KLP_SYSFS/livepatch_cmdline/enabled") 2>/dev/null || fail "x was accepted"
	! (echo 1 >"$KLP_SYSFS/livepatch_cmdline/force") 2>/dev/null ||
		fail "force was accepted without a transition"
	expect_file "$KLP_SYSFS/livepatch_cmdline/enabled" 1
}
test_case "what cannot be done is refused in sysfs" writes

# Whoever stops the processors runs when all others do not. The C core switches it at another time.
stoppers() {
	load_core
	load klp_test_patch object= function=cpu_stopper_thread
	for _ in 1 2 3 4; do
		expect_blockers klp_test_patch 1 "migration/[0-9]+ cpu_stopper_thread"
		expect_file /sys/kernel/debug/livepatch/klp_test_patch/phase waiting
		expect_file "$KLP_SYSFS/klp_test_patch/transition" 1
		sleep 0.5
	done
	disable_patch klp_test_patch
	unload klp_test_patch
}
[ -n "$PEER" ] ||
	test_case "a function that stops the processors is not replaced while they are stopped" stoppers

# All of these threads are in it for ever, those that stop the processors among them: they stay behind.
thread_function() {
	load_core
	load klp_test_patch object= function=smpboot_thread_fn
	switched klp_test_patch
	for name in migration ksoftirqd; do
		grep -Eq "^[0-9]+ $name/0 smpboot_thread_fn\$" /sys/kernel/debug/livepatch/klp_test_patch/blockers ||
			fail "$name/0 is not in the way: $(</sys/kernel/debug/livepatch/klp_test_patch/blockers)"
	done
	disable_patch klp_test_patch
	unload klp_test_patch
}
[ -n "$PEER" ] ||
	test_case "the threads that stop the processors are left behind in a function that they never leave" thread_function

run_tests
