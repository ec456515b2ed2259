#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions whose calls go through a trampoline of somebody else's when they are patched, as
# with BPF.

. "$(dirname "$0")/functions.sh"

TRAMPOLINE=klp_test_trampoline
PARAMETERS=/sys/module/$TRAMPOLINE/parameters
PATCH=klp_test_stack_1

# hold_one: a task that is on its way to unique_value(), in the trampoline. Others pass.
hold_one() {
	echo 0 >$PARAMETERS/release
	echo 1 >$PARAMETERS/hold
	cat /proc/klp_test_values >"$CASE_DIR/held" &
	HELD=$!
	wait_for 20 reads $PARAMETERS/sleepers 1 || fail "nobody is held in the trampoline"
	echo 0 >$PARAMETERS/hold
}

# goes_on VALUE: the task, to what returns that.
goes_on() {
	local values
	echo 1 >$PARAMETERS/release
	wait "$HELD" || fail "the task failed"
	values=$(<"$CASE_DIR/held")
	expect_eq "what unique_value() returned to the task" "${values##* unique }" "$1"
}

begin() {
	load_core
	load klp_test_target
	load $TRAMPOLINE "$@"
	unique 42
}

attached_before() {
	begin
	hold_one
	stands_in "$HELD" klp_test_fixed $TRAMPOLINE
	load $PATCH
	switched_but $PATCH "$HELD"
	unique 9001
	keeps_waiting $PATCH
	goes_on 42
	wait_for_transition $PATCH
	unique 9001
	unload_patch $PATCH
	unique 42
	hold_one
	stands_in "$HELD" klp_test_fixed $TRAMPOLINE
	goes_on 42
}
test_case "a task in a trampoline that was there before is in the original" attached_before

leaves() {
	begin
	load_patch $PATCH
	unique 9001
	hold_one
	stands_in "$HELD" klp_test_shared $TRAMPOLINE
	set_patch $PATCH 0
	switched_but $PATCH "$HELD"
	unique 42
	keeps_waiting $PATCH
	goes_on 9001
	wait_for_transition $PATCH
	unload $PATCH
	unique 42
}
# The unwinder of s390 does not know that a frame in a trampoline may go on elsewhere.
[ "$(uname -m)" != x86_64 ] ||
	test_case "a task in a trampoline that goes on where ftrace says is where it was led to" leaves

comes_between() {
	begin
	load_patch $PATCH
	hold_one
	load klp_test_stack_2
	switched_but klp_test_stack_2 "$HELD"
	unique 9002
	keeps_waiting klp_test_stack_2
	goes_on 9001
	wait_for_transition klp_test_stack_2
	unique 9002
	unload_patch $PATCH
	unload_patch klp_test_stack_2
	unique 42
}
[ "$(uname -m)" != x86_64 ] ||
	test_case "and where a second patch comes" comes_between

tried_again() {
	begin refusals=2
	load_patch $PATCH
	unique 9001
	expect_file $PARAMETERS/refusals 0
	unload_patch $PATCH
	unique 42
}
test_case "a trampoline whose owner is busy is asked again" tried_again

never() {
	begin refusals=1000000
	load_refused $PATCH EAGAIN "failed to register ftrace handler for function 'unique_value' \(-11\)"
	unique 42
	[ "$(<$PARAMETERS/refusals)" -lt 1000000 ] || fail "its owner was not asked"
	echo 0 >$PARAMETERS/refusals
	load_patch $PATCH
	unique 9001
}
test_case "one whose owner stays busy refuses the patch" never

comes_later() {
	load_core
	load klp_test_target
	load_patch $PATCH
	# register_ftrace_direct() says so where calls jump elsewhere already.
	load_refused $TRAMPOLINE EBUSY ''
	unique 9001
	unload_patch $PATCH

	echo N >/sys/module/livepatch/parameters/direct
	load_patch $PATCH
	load $TRAMPOLINE
	unique 9001
	hold_one
	stands_in "$HELD" klp_test_shared $TRAMPOLINE
	goes_on 9001
	unload_patch $PATCH
	unique 42
	hold_one
	stands_in "$HELD" klp_test_fixed $TRAMPOLINE
	goes_on 42
}
test_case "a trampoline comes to a patched function only where calls go through a handler" comes_later

trampoline_goes() {
	begin
	load_patch $PATCH
	unique 9001
	unload $TRAMPOLINE
	unique 9001
	unload_patch $PATCH
	unique 42
}
test_case "a trampoline is taken away from a function that is patched" trampoline_goes

run_tests
