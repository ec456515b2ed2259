#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Several things at once, and other users of the same functions.

. "$(dirname "$0")/functions.sh"

TRACING=/sys/kernel/tracing

# insert MODULE: the other one may be held up, by insmod itself, which reads
# /proc/cmdline; as long as it is in transition this one is busy.
insert() {
	local output busy end=$((SECONDS + 60))
	busy=$(errno_text EBUSY)
	until output=$(insmod "$MODULES/$1.ko" 2>&1); do
		[[ $output == *": $busy" ]] || fail "insmod $1: $output"
		[ $SECONDS -lt $end ] || fail "insmod $1 is busy for too long"
		pause
	done
}

two_insmods() {
	local first second
	load_core
	for _ in 1 2 3 4 5; do
		insert livepatch-cmdline &
		first=$!
		insert livepatch-meminfo &
		second=$!
		wait $first || fail "the first one failed"
		wait $second || fail "the second one failed"
		wait_for_transition livepatch-cmdline
		wait_for_transition livepatch-meminfo
		grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched"
		grep -q CommitFree /proc/meminfo || fail "/proc/meminfo is not patched"
		unload_patch livepatch-cmdline
		unload_patch livepatch-meminfo
	done
}
test_case "two patches are inserted at the same time" two_insmods

target_and_patch() {
	local end=$((SECONDS + 15)) loops=0
	load_core
	: >"$CASE_DIR/goes-on"
	trap 'rm -f "$CASE_DIR/goes-on"' EXIT
	(
		while [ -e "$CASE_DIR/goes-on" ]; do
			insmod "$MODULES/klp_test_target.ko"
			cat /proc/klp_test_values
			rmmod klp_test_target
		done
	) >/dev/null &
	while [ $SECONDS -lt $end ] || [ $loops -lt 4 ]; do
		load_patch klp_test_late
		unload_patch klp_test_late
		loops=$((loops + 1))
	done
	rm "$CASE_DIR/goes-on"
	wait
	load klp_test_target
	unique 42
}
test_case "a target comes and goes while its patch is enabled and disabled" target_and_patch

# many_shadows: whether so many were allocated, and read.
many_shadows() { awk '$2 > 100 && $6 > 100 { many = 1 } END { exit !many }' /proc/klp_test_shadow; }

shadow() {
	load_core
	load klp_test_shadow
	sleep 5
	wait_for 60 many_shadows || fail "too little was done: $(cat /proc/klp_test_shadow)"
	grep -q 'wrong 0$' /proc/klp_test_shadow || fail "$(cat /proc/klp_test_shadow)"
	unload klp_test_shadow
	expect_no_log "BUG: "
}
test_case "shadow variables are got and freed by several threads" shadow

traced() {
	load_core
	load klp_test_target
	echo 0 >$TRACING/tracing_on
	echo unique_value >$TRACING/set_ftrace_filter
	echo function >$TRACING/current_tracer
	echo 1 >$TRACING/tracing_on
	unique 42
	load_patch klp_test_stack_5
	unique 9005
	grep -q unique_value $TRACING/trace || fail "the patched function is not traced"
	echo nop >$TRACING/current_tracer
	unique 9005
	echo function >$TRACING/current_tracer
	: >$TRACING/trace
	unload_patch klp_test_stack_5
	unique 42
	grep -q unique_value $TRACING/trace || fail "the restored function is not traced"
	echo nop >$TRACING/current_tracer
	echo >$TRACING/set_ftrace_filter
}
test_case "a function that is traced is patched and restored, and goes on being traced" traced

kprobed() {
	load_core
	load klp_test_target
	echo 'p:klp_test unique_value' >$TRACING/kprobe_events
	echo 1 >$TRACING/events/kprobes/klp_test/enable
	echo 1 >$TRACING/tracing_on
	load_patch klp_test_stack_5
	unique 9005
	grep -q 'klp_test: ' $TRACING/trace || fail "the patched function is not probed"
	unload_patch klp_test_stack_5
	unique 42
	load_patch klp_test_stack_6
	unique 9006
	echo 0 >$TRACING/events/kprobes/klp_test/enable
	echo >$TRACING/kprobe_events
	unique 9006
	unload_patch klp_test_stack_6
	unique 42
}
test_case "a function that is kprobed is patched and restored, and goes on being probed" kprobed

switched_off() {
	load_core
	load_patch livepatch-cmdline
	! (echo 0 >/proc/sys/kernel/ftrace_enabled) 2>/dev/null || {
		echo 1 >/proc/sys/kernel/ftrace_enabled
		fail "ftrace was switched off under a patch"
	}
	grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched"
}
test_case "ftrace cannot be switched off under a patch" switched_off

readers() {
	local pids=()
	load_core
	for _ in 1 2 3 4; do
		while :; do cat /proc/cmdline /proc/meminfo; done >/dev/null &
		pids+=($!)
	done
	for _ in 1 2 3 4 5; do
		load_patch livepatch-cmdline
		load_patch livepatch-meminfo
		grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched"
		unload_patch livepatch-cmdline
		unload_patch livepatch-meminfo
	done
	kill "${pids[@]}"
}
test_case "functions that are in use all the time are patched and restored" readers

run_tests
