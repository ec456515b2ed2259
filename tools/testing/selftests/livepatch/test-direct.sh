#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Calls of patched functions that go straight to the new ones, without a handler.

. "$(dirname "$0")/functions.sh"

TRACING=/sys/kernel/tracing
DIRECT=/sys/module/livepatch/parameters/direct
DEBUG=/sys/kernel/debug/livepatch

# goes FUNCTION WAY: how calls of a patched function get to where they go.
goes() { grep -q " $1 $2\$" /sys/kernel/debug/livepatch/*/functions; }

# straight FUNCTION: they jump; after a transition, that comes soon.
straight() {
	wait_for 20 goes "$1" jump ||
		fail "calls of $1 do not go straight: $(grep " $1 " /sys/kernel/debug/livepatch/*/functions)"
	grep -A 2 "^$1 " $TRACING/enabled_functions | grep -q -- '-->livepatch_trampolines+' ||
		fail "ftrace does not send calls of $1 to a trampoline: $(grep -A 2 "^$1 " $TRACING/enabled_functions)"
}

# handled FUNCTION: a handler decides, which others must not overrule.
handled() {
	goes "$1" handler || fail "the patch does not say that a handler decides on $1"
	grep -Eq "^$1 .*\\([0-9]+\\) .*I " $TRACING/enabled_functions ||
		fail "no handler decides on $1: $(grep -A 2 "^$1 " $TRACING/enabled_functions)"
}

untouched() {
	! grep -q "^$1 " $TRACING/enabled_functions || fail "$1 is still redirected"
}

settles() {
	load_core
	load_patch livepatch-cmdline
	straight cmdline_proc_show
	grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched"
	unload_patch livepatch-cmdline
	untouched cmdline_proc_show
	! grep -q livepatched /proc/cmdline || fail "/proc/cmdline is still patched"
}
test_case "after a transition calls go straight to the new function" settles

parameter() {
	load_core direct=0
	load_patch livepatch-cmdline
	sleep 2
	handled cmdline_proc_show
	echo 1 >$DIRECT
	# It counts for what is patched from then on.
	load_patch livepatch-meminfo
	straight meminfo_proc_show
	handled cmdline_proc_show
	unload_patch livepatch-cmdline
	load_patch livepatch-cmdline
	straight cmdline_proc_show
	echo 0 >$DIRECT
	unload_patch livepatch-cmdline
	load_patch livepatch-cmdline
	sleep 2
	handled cmdline_proc_show
	straight meminfo_proc_show
	grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched"
	grep -q CommitFree /proc/meminfo || fail "/proc/meminfo is not patched"
}
test_case "the parameter 'direct' decides, and can be changed" parameter

stacked() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_1
	straight unique_value
	load_patch klp_test_stack_2
	unique 9002
	straight unique_value
	load_patch klp_test_stack_3
	unique 9003
	unload_patch klp_test_stack_2
	unique 9003
	unload_patch klp_test_stack_3
	unique 9001
	straight unique_value
	unique 9001
	unload klp_test_target
	load klp_test_target
	unique 9001
	straight unique_value
	unique 9001
	unload_patch klp_test_stack_1
	unique 42
	untouched unique_value
}
test_case "patches on top of each other, and a target that comes, go straight as well" stacked

# values SHARED UNIQUE: what the second function of three and the unique one return.
values() {
	local shared unique
	read -r _ _ shared _ _ unique </proc/klp_test_values || fail "cannot read /proc/klp_test_values"
	expect_eq "the values" "$shared $unique" "$1 $2"
}

# Two functions are patched together, and one of them stays so for longer.
together() {
	local original
	load_core
	load klp_test_target
	read -r _ _ original _ </proc/klp_test_values
	load_patch klp_test_patch function=shared_value sympos=2 also=unique_value
	straight unique_value
	straight shared_value
	values 7000 7000
	load_patch klp_test_stack_1
	unload_patch klp_test_patch
	values "$original" 9001
	untouched shared_value
	straight unique_value
	load_patch klp_test_patch function=shared_value sympos=2
	straight shared_value
	values 7000 9001
	unload_patch klp_test_stack_1
	values 7000 42
	unload_patch klp_test_patch
	untouched unique_value
	untouched shared_value
	load_patch klp_test_patch function=shared_value sympos=2 also=unique_value
	load_patch klp_test_stack_2 replace=1
	unload klp_test_patch
	values "$original" 9002
	straight unique_value
	unload_patch klp_test_stack_2
	untouched unique_value
	untouched shared_value
	values "$original" 42
}
test_case "of functions that were patched together, some stay patched" together

tracer() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_5
	straight unique_value
	echo unique_value >$TRACING/set_ftrace_filter
	echo function >$TRACING/current_tracer
	echo 1 >$TRACING/tracing_on
	: >$TRACING/trace
	unique 9005
	grep -q unique_value $TRACING/trace || fail "the patched function is not traced"
	unload_patch klp_test_stack_5
	unique 42
	load_patch klp_test_stack_6
	unique 9006
	echo nop >$TRACING/current_tracer
	echo >$TRACING/set_ftrace_filter
	straight unique_value
	unique 9006
}
test_case "a tracer comes to a function whose calls go straight, and leaves it" tracer

graph() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_5
	straight unique_value
	echo unique_value >$TRACING/set_graph_function
	echo function_graph >$TRACING/current_tracer
	echo 1 >$TRACING/tracing_on
	unique 9005
	unload_patch klp_test_stack_5
	unique 42
	load_patch klp_test_stack_6
	unique 9006
	echo nop >$TRACING/current_tracer
	echo >$TRACING/set_graph_function
	unique 9006
}
test_case "the function graph tracer comes and leaves" graph

probe() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_5
	straight unique_value
	echo 'p:klp_test unique_value' >$TRACING/kprobe_events
	echo 'r:klp_return unique_value' >>$TRACING/kprobe_events
	echo 1 >$TRACING/events/kprobes/enable
	echo 1 >$TRACING/tracing_on
	: >$TRACING/trace
	unique 9005
	grep -q 'klp_test: ' $TRACING/trace || fail "the patched function is not probed"
	unload_patch klp_test_stack_5
	unique 42
	load_patch klp_test_stack_6
	unique 9006
	echo 0 >$TRACING/events/kprobes/enable
	echo >$TRACING/kprobe_events
	straight unique_value
	unique 9006
}
test_case "a kprobe comes to a function whose calls go straight, and leaves it" probe

# refused_probe VALUE: whatever the way, one user only says where calls go on. Linux 7.3
# does not tell who registers a kprobe that it could not be armed: it is not there then.
refused_probe() {
	unique "$1"
	if insmod "$MODULES/klp_test_probe.ko" 2>/dev/null; then
		unique "$1"
		expect_file /sys/module/klp_test_probe/parameters/hits 0
		! grep -q unique_value /sys/kernel/debug/kprobes/list || fail "a second redirect was allowed"
		unload klp_test_probe
	fi
	unique "$1"
}

exclusive() {
	load_core
	load klp_test_target
	load_patch klp_test_stack_5
	straight unique_value
	refused_probe 9005
	load_patch klp_test_stack_6
	refused_probe 9006
	unload_patch klp_test_stack_6
	unload_patch klp_test_stack_5
	unique 42
	echo 0 >$DIRECT
	load_patch klp_test_stack_5
	handled unique_value
	refused_probe 9005
	unload_patch klp_test_stack_5
	unique 42
	load klp_test_probe
	unique 42
	load_refused klp_test_stack_5 EBUSY \
		"failed to register ftrace handler for function 'unique_value' \(-16\)"
	unique 42
	[ "$(cat /sys/module/klp_test_probe/parameters/hits)" -gt 0 ] || fail "the probe was not hit"
	unload klp_test_probe
	load_patch klp_test_stack_5
	unique 9005
}
test_case "nobody else can redirect a function whose calls go straight" exclusive

busy() {
	local pids=() way
	load_core
	for _ in 1 2 3; do
		while :; do cat /proc/cmdline /proc/meminfo; done >/dev/null &
		pids+=($!)
	done
	for _ in 1 2 3 4; do
		load_patch livepatch-cmdline
		load_patch livepatch-meminfo
		for way in 1 2; do
			straight cmdline_proc_show
			echo cmdline_proc_show >$TRACING/set_ftrace_filter
			echo function >$TRACING/current_tracer
			grep -q livepatched /proc/cmdline || fail "/proc/cmdline is not patched ($way)"
			echo nop >$TRACING/current_tracer
		done
		echo >$TRACING/set_ftrace_filter
		unload_patch livepatch-cmdline
		unload_patch livepatch-meminfo
	done
	kill "${pids[@]}"
}
test_case "functions that are in use all the time change from one way to the other" busy

MANY=/sys/module/klp_test_many/parameters/results

# results_are RESULTS: of all functions. Else which of them are not as the others, and what is in
# memory there.
results_are() {
	local results
	results=$(<$MANY)
	[ "$results" = "$1" ] ||
		fail "the results are '$results', expected '$1', then '$(<$MANY)': $(<"${MANY%/*}/odd")"
}

# ways WAY: how many functions of the patch go that way.
ways() { grep -c " $1\$" $DEBUG/klp_test_many_patch/functions || true; }

# mixed: reads the results until the case says stop, and tells of those of which not all functions
# are old, or all are new.
mixed() {
	local results
	until [ -e "$CASE_DIR/stop" ]; do
		results=$(<$MANY)
		case "$results" in
		"1100 0 0" | "0 1100 0") ;;
		*) echo "$results, then: $(<"${MANY%/*}/odd")" ;;
		esac
	done
}

many() {
	local reader
	load_core
	load klp_test_many
	results_are "1100 0 0"
	mixed >"$CASE_DIR/mixed" &
	reader=$!
	for _ in 1 2 3; do
		load_patch klp_test_many_patch
		results_are "0 1100 0"
		[ "$(ways handler)" -gt 0 ] || fail "there was a trampoline for all of them"
		[ "$(ways handler)" -lt 100 ] || fail "$(ways handler) functions have no trampoline"
		# Another patch gets none.
		load_patch livepatch-cmdline
		handled cmdline_proc_show
		unload_patch livepatch-cmdline
		unload_patch klp_test_many_patch
		results_are "1100 0 0"
	done
	: >"$CASE_DIR/stop"
	wait "$reader"
	[ ! -s "$CASE_DIR/mixed" ] || fail "old, new and wrong functions were seen together: $(head -n 3 "$CASE_DIR/mixed")"
	# All trampolines are free again.
	load_patch livepatch-cmdline
	straight cmdline_proc_show
}
test_case "a patch of more functions than there are trampolines has handlers for the rest" many

run_tests
