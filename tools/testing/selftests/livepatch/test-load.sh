#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Patching while interrupts run what is patched, tasks come and go, and there are many.

. "$(dirname "$0")/functions.sh"

PATCH=klp_test_sleeper_patch
RELEASE=/sys/module/klp_test_target/parameters/release

CONTEXTS=(process softirq hardirq)
if [ "$(uname -m)" = x86_64 ]; then
	CONTEXTS+=(nmi)
	# Emulated CPUs stand still now and then: nothing takes too long.
	echo 100000000000 >/sys/kernel/debug/x86/nmi_longest_ns
fi

# read_contexts: in OLD, NEW and MIXED, how often the originals ran, and so on.
declare -A OLD NEW MIXED
read_contexts() {
	local context old new mixed text
	# At once: it changes all the time.
	text=$(</proc/klp_test_contexts)
	while read -r context old new mixed; do
		OLD[$context]=$old NEW[$context]=$new MIXED[$context]=$mixed
	done <<<"$text"
}

# have_run WHICH: whether all contexts have run that since, by BEFORE.
have_run() {
	local context
	local -n counts=$1
	read_contexts
	for context in "${CONTEXTS[@]}"; do
		[ "${counts[$context]}" -gt "${BEFORE[$context]}" ] || return 1
	done
}

# only_runs WHICH OTHER: from now on all contexts run that, and none the other.
only_runs() {
	local context was
	local -A BEFORE
	local -n running=$1 other=$2
	read_contexts
	was="${other[*]} ${MIXED[*]}"
	for context in "${CONTEXTS[@]}"; do BEFORE[$context]=${running[$context]}; done
	wait_for 20 have_run "$1" || fail "not all contexts run it: ${running[*]}, before: ${BEFORE[*]}"
	expect_eq "what must not run any more" "${other[*]} ${MIXED[*]}" "$was"
}

interrupts() {
	load_core
	load klp_test_contexts
	begin_tasks forks 3
	only_runs OLD NEW
	for _ in 1 2 3 4 5; do
		load_patch klp_test_contexts_patch
		only_runs NEW OLD
		unload_patch klp_test_contexts_patch
		only_runs OLD NEW
	done
	end_tasks
	expect_eq "some of each" "${MIXED[*]}" "0 0 0 0"
}
test_case "functions that run in interrupts are patched, all at once" interrupts

# Nothing holds an NMI off: not even when processors are stopped.
nmis() {
	local times
	load_core
	load klp_test_contexts storm=1
	# On a busy machine, few NMIs come to a CPU that is stopped.
	for ((times = 0; times < 30 || (times < 300 && (OLD[nmi] == 0 || NEW[nmi] == 0)); times++)); do
		load_patch klp_test_contexts_patch
		unload_patch klp_test_contexts_patch
		read_contexts
	done
	[ "${OLD[nmi]}" -gt 0 ] || fail "no NMI has come to a CPU that is stopped, before the switch"
	[ "${NEW[nmi]}" -gt 0 ] || fail "no NMI has come to a CPU that is stopped, after the switch"
	expect_eq "NMIs that have seen a part of a switch" "${MIXED[nmi]}" 0
}
[ "$(uname -m)" != x86_64 ] || test_case "no NMI sees a part of a switch, however many there are" nmis

target_with_interrupts() {
	load_core
	load klp_test_contexts_patch
	begin_tasks forks 3
	for _ in 1 2 3; do
		load klp_test_contexts
		only_runs NEW OLD
		expect_eq "the originals" "${OLD[*]} ${MIXED[*]}" "0 0 0 0 0 0 0 0"
		unload klp_test_contexts
	done
	end_tasks
}
test_case "a target whose functions run in interrupts is patched from the beginning" target_with_interrupts

forks() {
	load_core
	load klp_test_target
	begin_tasks forks 6
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	switched $PATCH
	for _ in 1 2 3 4; do
		expect_file "$KLP_SYSFS/$PATCH/transition" 1
		unique 4242
		sleep 0.3
	done
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	unique 4242
	unload_patch $PATCH
	for _ in 1 2 3; do
		load_patch klp_test_stack_5
		unique 9005
		unload_patch klp_test_stack_5
		unique 42
	done
	end_tasks
}
test_case "transitions wait and end while processes are made all the time" forks

threads() {
	load_core
	load klp_test_target
	begin_tasks threads 3000
	sleep_in_target klp_test_sleep_deaf
	load $PATCH
	switched $PATCH
	sleep 2
	expect_file "$KLP_SYSFS/$PATCH/transition" 1
	expect_blockers $PATCH 1 "cat klp_test_sleeper"
	unique 4242
	echo 1 >"$RELEASE"
	wait_for_transition $PATCH
	unique 4242
	unload_patch $PATCH
	unique 42
	end_tasks
}
test_case "one of 3,000 threads is found where it is in the way" threads

run_tests
