#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Several patches of one function, replacing and forcing.

. "$(dirname "$0")/functions.sh"

PATCH=klp_test_sleeper_patch
RELEASE=/sys/module/klp_test_target/parameters/release

pending() { expect_file "$KLP_SYSFS/$1/transition" 1; }
gone() { [ ! -e "$KLP_SYSFS/$1" ]; }

# stack_up: ten patches, the newest of which wins.
stack_up() {
	local level
	load_core
	load klp_test_target
	for level in 0 1 2 3 4 5 6 7 8 9; do
		load_patch klp_test_stack_$level
		expect_file "$KLP_SYSFS/klp_test_stack_$level/stack_order" $((level + 1))
		unique $((9000 + level))
	done
}

ten() {
	local level
	stack_up
	# From the middle: nothing changes.
	for level in 4 1 7; do
		unload_patch klp_test_stack_$level
		unique 9009
	done
	expect_file "$KLP_SYSFS/klp_test_stack_9/stack_order" 7
	# From the top: each uncovers the one below.
	unload_patch klp_test_stack_9
	unique 9008
	unload_patch klp_test_stack_8
	unique 9006
	unload_patch klp_test_stack_5
	unique 9006
	# And one more on top of those that are left.
	load_patch klp_test_stack_9
	unique 9009
	unload_patch klp_test_stack_9
	for level in 6 3 2; do
		unique $((9000 + level))
		unload_patch klp_test_stack_$level
	done
	unique 9000
	unload_patch klp_test_stack_0
	unique 42
}
test_case "a stack of ten patches is taken down from the middle and from the top" ten

ten_and_target() {
	stack_up
	unload klp_test_target
	load klp_test_target
	unique 9009
	unload_patch klp_test_stack_9
	unique 9008
}
test_case "a stack of ten patches follows its target" ten_and_target

ten_replaced() {
	local level
	stack_up
	# It has other functions: unique_value() is patched by it too, nothing else.
	load_patch $PATCH replace=1
	unique 4242
	for level in 0 1 2 3 4 5 6 7 8 9; do
		wait_for 20 gone klp_test_stack_$level || fail "a replaced patch is still there"
		unload klp_test_stack_$level
	done
	unload_patch $PATCH
	unique 42
}
test_case "ten patches are replaced at once" ten_replaced

nops() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_3
	load_patch livepatch-cmdline
	# It replaces neither function: both are original again.
	load_patch klp_test_patch sympos=1 replace=1
	expect_file /proc/klp_test_values "shared 7000 2 3 unique 42"
	! grep -q livepatched /proc/cmdline || fail "/proc/cmdline is still patched"
	expect_eq "the objects of the patch" "$(cd "$KLP_SYSFS/klp_test_patch" && echo */)" "klp_test_target/"
	expect_eq "the functions of the patch" \
		"$(cd "$KLP_SYSFS/klp_test_patch/klp_test_target" && echo */)" "shared_value,1/"
	expect_file "$KLP_SYSFS/klp_test_patch/replace" 1
	expect_file "$KLP_SYSFS/klp_test_patch/stack_order" 1
}
test_case "what the new patch does not patch becomes original, without a trace" nops

forced() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	pending $PATCH
	echo 1 >"$KLP_SYSFS/$PATCH/force"
	wait_for_transition $PATCH
	unique 4242
	expect_log "forcing remaining tasks to the patched state"
	expect_file /sys/kernel/debug/livepatch/$PATCH/phase forced
	sleeping 1 || fail "the task was disturbed"
	echo 1 >"$RELEASE"
	unload_patch $PATCH
	unique 42
}
test_case "a transition that is held is forced" forced

replace_held() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_1
	sleep_in_target klp_test_sleep_deaf
	load $PATCH replace=1
	switched $PATCH
	unique 4242
	expect_file "$KLP_SYSFS/klp_test_stack_1/enabled" 1
	# Back, and again.
	disable_patch $PATCH
	unique 9001
	wait_for 20 gone $PATCH || fail "the patch is still there"
	unload $PATCH
	load $PATCH replace=1
	switched $PATCH
	unique 4242
	expect_file "$KLP_SYSFS/klp_test_stack_1/enabled" 1
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	unique 4242
	wait_for 20 gone klp_test_stack_1 || fail "the replaced patch is still there"
	unload klp_test_stack_1
}
test_case "a replacement that a task is in the way of is reversed, and succeeds later" replace_held

unload_pending() {
	load_core
	load klp_test_target
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	pending $PATCH
	unload_refused $PATCH
	unload_refused livepatch
	# The target is in use by the task that sleeps in it.
	kill %% 2>/dev/null || true
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
}
test_case "a patch module whose transition is pending cannot be unloaded" unload_pending

# names_sleeper: whether blockers, which is left in LISTED, does. Its line is left in SLEEPER.
names_sleeper() {
	LISTED=$(<"/sys/kernel/debug/livepatch/$PATCH/blockers")
	SLEEPER=$(grep -E '^[0-9]+ cat klp_test_sleeper$' <<<"$LISTED")
}

blockers() {
	local LISTED SLEEPER
	load_core debug=2
	load klp_test_target
	load_patch klp_test_stack_0
	expect_file /sys/kernel/debug/livepatch/klp_test_stack_0/phase none
	[ -z "$(cat /sys/kernel/debug/livepatch/klp_test_stack_0/blockers)" ] ||
		fail "a patch without a transition has blockers"
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	pending $PATCH
	wait_for 20 names_sleeper || fail "blockers does not name the task: $LISTED"
	# On s390 a task that is preempted in the kernel may stand beside it for a moment.
	! grep -Ev '^[0-9]+ (cat klp_test_sleeper|.* \(unreliable stack\))$' <<<"$LISTED" ||
		fail "blockers says: $LISTED"
	expect_eq "the task" "$(cat "/proc/${SLEEPER%% *}/comm")" cat
	expect_log "klp_try_switch_task: cat:${SLEEPER%% *} is sleeping on function klp_test_sleeper"
	# And it is still there when it is the only one that the patch is not in effect for.
	switched $PATCH
	expect_blockers $PATCH 1 "cat klp_test_sleeper"
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	[ -z "$(cat "/sys/kernel/debug/livepatch/$PATCH/blockers")" ] || fail "blockers are left"
	expect_file /sys/kernel/debug/livepatch/$PATCH/phase none
}
test_case "a transition that is held says which task holds it, and where" blockers

run_tests
