#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Code that a task is in, and of which nothing but an address in some other part of it is on
# the task's stack, is not left behind, and not freed.

. "$(dirname "$0")/functions.sh"

TARGET=klp_test_in_use
PATCH=klp_test_in_use_patch

# parameter MODULE NAME: its file.
parameter() { echo "/sys/module/$1/parameters/$2"; }

# sleep_in FILE MODULE: a task that sleeps in code of that module.
sleep_in() {
	cat "/proc/$1" >"$CASE_DIR/slept" &
	SLEEPER=$!
	wait_for 20 reads "$(parameter "$2" sleepers)" 1 || fail "nobody sleeps in $2"
}

# has_part FUNCTION: the compiler has made what the case is about.
has_part() {
	grep -Eq " t $1[[:space:]]\[" /proc/kallsyms || fail "no module has a symbol $1: nothing is tested"
}

# set_thread NAME: in THREAD, the kernel thread of that name; 1 if there is none.
set_thread() {
	local file
	for file in /proc/[0-9]*/comm; do
		if reads "$file" "$1"; then
			THREAD=${file//[!0-9]/}
			return 0
		fi
	done
	return 1
}

# wakes MODULE WORD: the task goes on there, and says that.
wakes() {
	echo 1 >"$(parameter "$1" release)"
	wait "$SLEEPER" || fail "the task failed"
	expect_file "$CASE_DIR/slept" "$2"
}

old_cold() {
	load_core
	load $TARGET
	has_part klp_test_cold.cold
	sleep_in klp_test_cold_sleep $TARGET
	stands_in "$SLEEPER" klp_test_cold.cold $TARGET klp_test_cold
	load $PATCH
	switched_but $PATCH "$SLEEPER"
	keeps_waiting $PATCH
	expect_file /proc/klp_test_cold new
	# There and back, and the task is where it was.
	set_patch $PATCH 0
	wait_for_transition $PATCH
	expect_file /proc/klp_test_cold old
	unload $PATCH
	load $PATCH
	switched_but $PATCH "$SLEEPER"
	expect_file /proc/klp_test_cold new
	wakes $TARGET old
	wait_for_transition $PATCH
	unload_patch $PATCH
	expect_file /proc/klp_test_cold old
}
test_case "a task in the .cold part of an old function is in that function" old_cold

# in_new FILE PART FUNCTION: a task sleeps in that part of the patch's module, and the patch is
# disabled, and back, and disabled.
in_new() {
	load_core
	load $TARGET
	load_patch $PATCH
	has_part "$2"
	sleep_in "$1_sleep" $PATCH
	stands_in "$SLEEPER" "$2" $PATCH "$3"
	set_patch $PATCH 0
	switched_but $PATCH "$SLEEPER"
	keeps_waiting $PATCH
	expect_file "/proc/$1" old
	set_patch $PATCH 1
	wait_for_transition $PATCH
	expect_file "/proc/$1" new
	unload_refused $PATCH
	set_patch $PATCH 0
	switched_but $PATCH "$SLEEPER"
	keeps_waiting $PATCH
	expect_file "/proc/$1" old
	wakes $PATCH new
	wait_for_transition $PATCH
	unload $PATCH
	expect_file "/proc/$1" old
}

# in_replaced FILE PART FUNCTION: the same, while another patch takes its place.
in_replaced() {
	load_core
	load $TARGET
	load_patch $PATCH
	has_part "$2"
	sleep_in "$1_sleep" $PATCH
	stands_in "$SLEEPER" "$2" $PATCH "$3"
	load klp_test_stack_1 replace=1
	switched_but klp_test_stack_1 "$SLEEPER"
	keeps_waiting klp_test_stack_1 $PATCH
	expect_file "/proc/$1" old
	wakes $PATCH new
	wait_for_transition klp_test_stack_1
	unload $PATCH
	expect_file "/proc/$1" old
	unload_patch klp_test_stack_1
}

new_cold() { in_new klp_test_cold new_cold.cold new_cold; }
test_case "a patch is not removed while a task is in the .cold part of a new function" new_cold

new_cold_replaced() { in_replaced klp_test_cold new_cold.cold new_cold; }
test_case "nor is one that is replaced" new_cold_replaced

helper() { in_new klp_test_tail new_behind new_tail; }
test_case "a patch is not removed while a task is in what a new function was left for" helper

helper_replaced() { in_replaced klp_test_tail new_behind new_tail; }
test_case "nor is one that is replaced, then" helper_replaced

body() { in_new klp_test_body new_body ""; }
test_case "a patch is not removed while a task is in a new function itself" body

# Nothing tells that it came from there. What it is in stays, and it returns to the caller.
behind() {
	load_core
	load $TARGET
	sleep_in klp_test_tail_sleep $TARGET
	stands_in "$SLEEPER" klp_test_behind $TARGET klp_test_tail
	load_patch $PATCH
	expect_file /proc/klp_test_tail new
	unload_patch $PATCH
	expect_file /proc/klp_test_tail old
	load_patch $PATCH
	wakes $TARGET old
	expect_file /proc/klp_test_tail new
	unload_patch $PATCH
	unload $TARGET
}
test_case "a task in what an old function was left for goes on there" behind

own_thread() {
	load_core
	load $TARGET
	load_patch $PATCH thread=1
	set_thread klp_patch || fail "the patch has no thread"
	expect_file /proc/klp_test_body new
	unload_patch $PATCH
	expect_file /proc/klp_test_body old
	! set_thread klp_patch || fail "the thread is still there"
	# And where another one takes its place.
	load_patch $PATCH thread=1
	load_patch klp_test_stack_1 replace=1
	unload $PATCH
	expect_file /proc/klp_test_body old
}
test_case "a kernel thread of the patch's module does not hold the patch" own_thread

# The target is there before livepatch.ko, which has not been told of its coming.
slow_exit() {
	local target
	load $TARGET thread=1 release=1 slow_exit=1
	load_core
	load_patch $PATCH
	wait_for 20 reads "$(parameter $PATCH sleepers)" 1 || fail "the target's thread does not sleep in the new function"
	set_thread klp_in_use || fail "the target has no thread"
	SLEEPER=$THREAD
	stands_in "$SLEEPER" new_body $PATCH
	rmmod $TARGET &
	target=$!
	wait_for 20 has_state $TARGET Unloading || fail "the target does not go"
	load klp_test_stack_1 replace=1
	switched_but klp_test_stack_1 "$SLEEPER"
	keeps_waiting klp_test_stack_1 $PATCH
	echo 1 >"$(parameter $PATCH release)"
	wait_for_transition klp_test_stack_1
	unload $PATCH
	has_state $TARGET Unloading || fail "the target has gone too soon"
	be_quick $TARGET exit
	wait $target || fail "the target was not removed"
	unload_patch klp_test_stack_1
}
test_case "a target with a slow exit function, which was there before livepatch.ko, is looked at" slow_exit

run_tests
