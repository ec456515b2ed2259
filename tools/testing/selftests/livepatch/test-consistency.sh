#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Each task is consistent for itself: while an outer function is on its stack, the functions
# that were patched together with it have its version, whatever transitions do meanwhile. On a
# kernel with livepatch support of its own (VARIANT=peer) the same cases run on that.
#
# SWITCHES=n in the environment, which the kernel's command line can set: how often patches
# are enabled, disabled or turned round in each case. SEED=n chooses how.

. "$(dirname "$0")/functions.sh"

SWITCHES=${SWITCHES:-100}
SEED=${SEED:-$RANDOM}
TARGET=klp_test_consistency
PARAMETERS=/sys/module/$TARGET/parameters
TRACING=/sys/kernel/tracing
CPU=/sys/devices/system/cpu/cpu1/online
PROBES=/sys/kernel/debug/kprobes/list
LONGEST_NMI=/sys/kernel/debug/x86/nmi_longest_ns

# noise COMMAND...: again and again in the background, until the case stops it.
noise() {
	while [ -e "$CASE_DIR/noise" ]; do
		"$@" || true
		pause
	done 2>/dev/null &
	NOISES+=($!)
}

# What is restored at the end of a case, whatever it did.
quiet() {
	rm -f "$CASE_DIR/noise"
	[ "${#NOISES[@]}" -eq 0 ] || wait "${NOISES[@]}" || true
	NOISES=()
	[ ! -e "$CPU" ] || reads "$CPU" 1 || echo 1 >"$CPU"
	echo nop >$TRACING/current_tracer
	echo >$TRACING/set_ftrace_filter
	[ ! -e $TRACING/events/kprobes ] || echo 0 >$TRACING/events/kprobes/enable
	echo >$TRACING/kprobe_events
}

hotplug() {
	sleep "0.$((RANDOM % 10))"
	echo 0 >"$CPU" && echo >>"$CASE_DIR/offline"
	sleep "0.$((RANDOM % 5))"
	echo 1 >"$CPU"
}

graph() {
	local name
	# One by one: a name that is not there voids the whole line, and an empty filter would
	# trace every function.
	: >$TRACING/set_ftrace_filter
	for name in klp_test_outer klp_test_inner_first klp_test_inner_second klp_test_far; do
		echo $name >>$TRACING/set_ftrace_filter || return 0
	done
	echo function_graph >$TRACING/current_tracer && echo >>"$CASE_DIR/graph"
	sleep "0.$((RANDOM % 10))"
	echo nop >$TRACING/current_tracer
	sleep "0.$((RANDOM % 10))"
}

kretprobes() {
	echo 'r:klp_outer klp_test_outer' >$TRACING/kprobe_events || return 0
	echo 'r:klp_inner klp_test_inner_second' >>$TRACING/kprobe_events
	echo 1 >$TRACING/events/kprobes/enable && echo >>"$CASE_DIR/kretprobes"
	sleep "0.$((RANDOM % 10))"
	echo 0 >$TRACING/events/kprobes/enable
	echo >$TRACING/kprobe_events
	sleep "0.$((RANDOM % 10))"
}

# begin [ARGUMENT]...: what the patches are for, and tasks that use it.
begin() {
	RANDOM=$SEED
	echo "SEED=$SEED"
	COUNT=0 COMMITS=0 NOISES=()
	rm -f "$CASE_DIR"/{offline,graph,kretprobes}
	: >"$CASE_DIR/noise"
	trap quiet EXIT
	# Emulated CPUs stand still now and then: no NMI takes too long.
	[ ! -e $LONGEST_NMI ] || echo 100000000000 >$LONGEST_NMI
	[ -n "$PEER" ] || load_core
	load klp_test_far
	load $TARGET "$@"
	mkfifo "$CASE_DIR/readers" 2>/dev/null || true
	exec {READERS}<>"$CASE_DIR/readers"
	klp_readers 4 /proc/klp_test_visit <"$CASE_DIR/readers" >"$CASE_DIR/ready" &
	wait_for 30 grep -qx ready "$CASE_DIR/ready" || fail "nobody reads"
}

# is_switched PATCH: it is in effect, or out of effect, but for some tasks.
is_switched() {
	if [ -n "$PEER" ]; then
		in_transition "$1"
	else
		reads "/sys/kernel/debug/livepatch/$1/phase" switched
	fi
}

# watch PATCH: count whether it is.
watch() {
	[ -z "$WATCHED" ] || ! is_switched "$1" || {
		COMMITS=$((COMMITS + 1))
		WATCHED=
	}
}

# switched: so often.
switched() {
	COUNT=$((COUNT + 1))
	WATCHED=1
}

# turn PATCH: its transition, some times, if it is not over before.
turn() {
	local times=$((RANDOM % 5)) enabled looks
	while [ "$times" -gt 0 ] && in_transition "$1"; do
		for ((looks = RANDOM % 12; looks > 0; looks--)); do
			watch "$1"
			[ $((looks % 3)) -ne 0 ] || pause
		done
		# It may be over now, and the patch be gone.
		{ read -r enabled <"$KLP_SYSFS/$1/enabled"; } 2>/dev/null || return 0
		# shellcheck disable=SC2320 # a write is refused through echo's status
		{ echo $((1 - enabled)) >"$KLP_SYSFS/$1/enabled"; } 2>/dev/null || return 0
		switched
		times=$((times - 1))
	done
}

# force PATCH: its transition, if it is not over. Tasks that are inside may then see anything.
force() {
	local before
	# One that is disabled by force keeps its module for good.
	reads "$KLP_SYSFS/$1/enabled" 1 || return 0
	before=$(<$PARAMETERS/forced)
	echo $((before + 1)) >$PARAMETERS/forced
	# shellcheck disable=SC2320 # a write is refused through echo's status
	if { echo 1 >"$KLP_SYSFS/$1/force"; } 2>/dev/null; then FORCED=$((FORCED + 1)); fi
	echo $((before + 2)) >$PARAMETERS/forced
}

# has_come_far PATCH: its transition waits for some tasks only, or for none.
has_come_far() { is_switched "$1" || transition_ended "$1"; }

# is_over PATCH
is_over() {
	watch "$1"
	transition_ended "$1"
}

# until_over PATCH
until_over() {
	wait_for "$TRANSITION_TIMEOUT" is_over "$1" ||
		fail "the transition of $1 has not ended after $TRANSITION_TIMEOUT s; in the way: $(cat "/sys/kernel/debug/livepatch/$1/blockers" 2>&1)"
}

# enable PATCH [ARGUMENT]...: load it, and turn it round.
enable() {
	load "$@"
	switched
	turn "$1"
	until_over "$1"
}

# gone PATCH
gone() { [ ! -e "$KLP_SYSFS/$1" ]; }

# remove PATCH: which may have been disabled or replaced before.
remove() {
	while reads "$KLP_SYSFS/$1/enabled" 1; do
		echo 0 >"$KLP_SYSFS/$1/enabled"
		switched
		turn "$1"
		until_over "$1"
	done
	wait_for "$TRANSITION_TIMEOUT" gone "$1" || fail "$1 is still there"
	unload "$1"
}

# round: enable one patch or both, and remove them again.
round() {
	local first=$((RANDOM % 2 + 1)) second patches order
	second=$((3 - first))
	patches=("${TARGET}_$first")
	enable "${TARGET}_$first"
	if [ $((RANDOM % 3)) -eq 0 ]; then
		patches+=("${TARGET}_$second")
		enable "${TARGET}_$second" replace=$((RANDOM % 2))
	fi
	for order in $((RANDOM % ${#patches[@]})) 0 1; do
		[ -z "${patches[$order]:-}" ] || ! is_loaded "${patches[$order]}" || remove "${patches[$order]}"
	done
}

# missing everywhere|in-tasks [NOISE]...: what is to happen before anything is known: calls of both
# versions in all contexts, or where there are no interrupts, in those of tasks, and these noises.
missing() {
	local where=$1 context old new mixed noise
	shift
	while read -r context old new mixed; do
		case "$where $context" in
		in-tasks\ *irq* | in-tasks\ nmi) continue ;;
		everywhere\ nmi) [ "$(uname -m)" = x86_64 ] || continue ;;
		esac
		[ "$old" -gt 0 ] || echo "no call of the original functions in $context context"
		[ "$new" -gt 0 ] || echo "no call of the new functions in $context context"
	done <<<"$(</proc/klp_test_consistency)"
	for noise; do
		[ -s "$CASE_DIR/$noise" ] || echo "no $noise"
	done
}

# enough SWITCHES everywhere|in-tasks [NOISE]...: so many were made, a fifth of that while tasks were
# in the way, and nothing is missing. Where the host is quiet, most transitions are over before
# anybody looks; where it is busy, a task rests through many of them.
enough() {
	[ "$COUNT" -ge "$1" ] && [ "$COMMITS" -ge $(($1 / 5)) ] && [ -z "$(missing "${@:2}")" ] && return
	[ "$COUNT" -lt $(($1 * 10)) ] ||
		fail "nothing is known: $COMMITS of $COUNT switches were made while tasks were in the way; $(missing "${@:2}")"
	return 1
}

# verdict: nothing was mixed.
verdict() {
	local context old new mixed contexts
	quiet
	exec {READERS}<&-
	contexts=$(</proc/klp_test_consistency)
	echo "$COUNT switches, $COMMITS with tasks in the way; $contexts"
	while read -r context old new mixed; do
		[ "$mixed" -eq 0 ] || fail "$mixed calls saw more than one version in $context context"
	done <<<"$contexts"
}

consistent() {
	begin
	[ -e "$CPU" ] || fail "there is no $CPU: the test needs a processor to take offline"
	noise hotplug
	noise graph
	until enough $((SWITCHES * 3 / 4)) everywhere offline graph; do
		round
	done
	verdict
}
test_case "each task sees functions of one version while patches come, go and turn round" consistent

# Return probes and NMIs do not go together, whatever the core.
return_probed() {
	begin nmis=0
	noise graph
	noise kretprobes
	until enough $((SWITCHES / 4)) in-tasks graph kretprobes; do
		round
	done
	verdict
}
test_case "so does each task while the returns of the functions are probed" return_probed

# Most are preempted where the probe has ended: nothing says any more that they return through it.
return_probed_slowly() {
	begin return_probe=1 longest_rest=0 interrupts=0 threads=12
	until enough $((SWITCHES / 4)) in-tasks; do
		round
	done
	verdict
}
test_case "so does each task that is preempted on its return through a probe" return_probed_slowly

forced() {
	local patch=${TARGET}_1
	FORCED=0
	begin
	until [ "$FORCED" -gt $((SWITCHES / 20)) ] && enough $((SWITCHES / 4)) everywhere; do
		[ "$FORCED" -gt $((SWITCHES / 20)) ] || [ "$COUNT" -lt $((SWITCHES * 2)) ] ||
			fail "only $FORCED of $COUNT switches could be forced"
		load $patch
		switched
		[ $((RANDOM % 3)) -ne 0 ] || turn $patch
		if [ $((RANDOM % 2)) -eq 0 ]; then
			wait_for "$TRANSITION_TIMEOUT" has_come_far $patch || fail "$patch waits for too long"
		fi
		force $patch
		until_over $patch
		remove $patch
	done
	verdict
}
test_case "after a transition was forced, tasks that come see functions of one version" forced

# A task that is preempted in the instructions which a probe has moved elsewhere has no address
# of the function on its stack. Nobody sleeps here: most are preempted just there.
probed() {
	begin probe=1 longest_rest=0 interrupts=0 threads=12
	wait_for 30 grep -q 'klp_test_outer.*\[OPTIMIZED\]' $PROBES ||
		fail "the kprobe is not optimized: $(<$PROBES)"
	until enough $((SWITCHES / 4)) in-tasks; do
		enable ${TARGET}_1
		grep -q 'klp_test_outer.*\[OPTIMIZED\]' $PROBES || fail "the kprobe is not optimized any more"
		remove ${TARGET}_1
	done
	[ "$(<$PARAMETERS/hits)" -gt 0 ] || fail "the probe was not hit"
	verdict
}
[ "$(uname -m)" != x86_64 ] ||
	test_case "a task in the detour of an optimized kprobe is in the function that is probed" probed

# What the emulator is given to forget a stale breakpoint leaves no trace in the page tables.
stale() {
	local parameters=${INT3%/*} before status=0
	before=$(<"$INT3")
	echo 0 >"$parameters/limit"
	echo 1 >"$parameters/trap" || status=1
	echo 100 >"$parameters/limit"
	[ "$status" -eq 0 ] || fail "a page that cannot be written to is dirty"
	! [ "$before" = "$(<"$INT3")" ] || fail "the trap was not seen: $before"
	expect_eq "the traps that came once" "$(grep -o 'single [0-9]*' "$INT3")" "$(grep -o 'single [0-9]*' <<<"$before")"
}
# With FRED, the instruction that makes the trap makes another one in the kernel.
[ "$(uname -m)" != x86_64 ] || grep -qw fred /proc/cpuinfo ||
	test_case "text that is written over because of the emulator is not dirty afterwards" stale

run_tests
