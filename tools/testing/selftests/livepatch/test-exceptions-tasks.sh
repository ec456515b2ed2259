#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Functions that tasks sleep in, and enter again as soon as they are woken: nobody else waits
# for these tasks, and the transition ends all the same. On a kernel with livepatch support of
# its own (VARIANT=peer) the same cases run on that.

. "$(dirname "$0")/functions.sh"

PATCH=klp_test_enter_patch
# An emulated s390 takes a fiftieth of a second for each process.
MANY=2000
[ "$(uname -m)" = x86_64 ] || MANY=500

# probe KIND old|new: which function a new process gets to.
probe() {
	local said
	said=$(klp_tasks probe "$1") || fail "klp_tasks probe $1 failed"
	expect_eq "what a process that did not wait gets to" "$said" "$2"
}

# hold KIND COUNT: so many tasks are in the way, at least.
hold() {
	# Every shell that has started another one waits as well.
	if [ "$1" = wait ]; then
		[ -n "$PEER" ] || wait_for 30 at_least_blockers "$2" ||
			fail "not all tasks are in the way: $(<"/sys/kernel/debug/livepatch/$PATCH/blockers")"
	else
		expect_blockers $PATCH "$2" 'klp_tasks .*'
	fi
}
at_least_blockers() {
	[ "$(grep -Ec '^[0-9]+ klp_tasks ' "/sys/kernel/debug/livepatch/$PATCH/blockers")" -ge "$1" ]
}

# ends: the transition does, once the tasks in the way are sent signals.
ends() {
	send_signals
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	expect_log "livepatch: signaling remaining tasks"
}

# enter KIND COUNT [PARAMETER]: of the patch
enter() {
	local kind=$1 count=$2
	core
	hold_signals
	begin_tasks enter "$kind" "$count"
	probe "$kind" old
	load $PATCH kind="$kind" "${@:3}"
	switched $PATCH
	probe "$kind" new
	hold "$kind" "$count"
	probe "$kind" new
	in_transition $PATCH || fail "the transition has ended without the tasks in the way"
	ends
	probe "$kind" new

	# They are in the new function now.
	tasks_are_asleep
	hold_signals
	set_patch $PATCH 0
	switched $PATCH
	probe "$kind" old
	hold "$kind" "$count"
	probe "$kind" old
	in_transition $PATCH || fail "the transition has ended without the tasks in the way"
	ends
	probe "$kind" old
	unload $PATCH
	tasks_are_asleep
	end_tasks
	[ -n "$PEER" ] || unload_core
}

one_pause() { enter pause 1; }
hundred_pause() { enter pause 100; }
many_pause() { enter pause $MANY; }
test_case "a task that enters pause() again and again holds up nobody" one_pause
test_case "100 tasks that enter pause() again and again hold up nobody" hundred_pause
test_case "many tasks that enter pause() again and again hold up nobody" many_pause

# one_and_twenty KIND [PARAMETER]
one_and_twenty() {
	enter "$1" 1 "${@:2}"
	enter "$1" 20 "${@:2}"
}

epoll() { one_and_twenty epoll; }
poll() { one_and_twenty poll; }
futex() { one_and_twenty futex; }
pipe() {
	local name
	# By ThinLTO it has a suffix.
	name=$(grep -Eo ' fifo_pipe_read(\.llvm\.[0-9]+)?$' /proc/kallsyms) || fail "there is no fifo_pipe_read()"
	one_and_twenty fifo function="${name# }"
}
tty() {
	mkdir -p /dev/pts
	[ -e /dev/pts/ptmx ] || mount -t devpts devpts /dev/pts
	one_and_twenty tty
}
unix() { one_and_twenty unix; }
waiting() { one_and_twenty wait; }
test_case "so do tasks in epoll_wait()" epoll
test_case "so do tasks in poll()" poll
test_case "so do tasks that wait for a futex" futex
test_case "so do tasks that read a pipe" pipe
test_case "so do tasks that read a terminal" tty
test_case "so do tasks that read a unix socket" unix
test_case "so do tasks that wait for a process, and every shell does" waiting

# Nothing is said of when: it is not waited for, nor told to hurry.
by_itself() {
	core
	begin_tasks enter pause 3
	load $PATCH kind=pause
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	expect_log "livepatch: signaling remaining tasks"
	probe pause new
	tasks_are_asleep
	set_patch $PATCH 0
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	probe pause old
	end_tasks
}
test_case "tasks in the way are sent signals without being asked to" by_itself

all_blockers() {
	local blockers=/sys/kernel/debug/livepatch/$PATCH/blockers tasks
	core
	hold_signals
	begin_tasks enter pause 200
	load $PATCH kind=pause
	switched $PATCH
	expect_blockers $PATCH 200 'klp_tasks .*'
	if [ -z "$PEER" ]; then
		tasks=$(cut -d' ' -f1 "$blockers" | sort)
		expect_eq "the tasks in the way" "$tasks" "$(pgrep -P "$TASKS_PROCESS" -x klp_tasks | sort)"
	fi
	ends
	[ -n "$PEER" ] || [ -z "$(<"$blockers")" ] || fail "blockers are left: $(head -n 5 "$blockers")"
	end_tasks
}
test_case "200 tasks in the way are all listed, and all woken" all_blockers

# A task that is stopped is at the boundary to user mode: it has left the function.
stopped() {
	core
	hold_signals
	begin_tasks enter pause 1
	load $PATCH kind=pause
	switched $PATCH
	pkill -STOP -P "$TASKS_PROCESS" -x klp_tasks || fail "there is no task"
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	probe pause new
	pkill -CONT -P "$TASKS_PROCESS" -x klp_tasks || fail "there is no task"
	tasks_are_asleep
	set_patch $PATCH 0
	switched $PATCH
	probe pause old
	pkill -STOP -P "$TASKS_PROCESS" -x klp_tasks || fail "there is no task"
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	pkill -CONT -P "$TASKS_PROCESS" -x klp_tasks || fail "there is no task"
	tasks_are_asleep
	end_tasks
}
test_case "a task in the way that is stopped is in the way no more" stopped

frozen() {
	core
	hold_signals
	begin_tasks enter pause 1
	begin_group "$(pgrep -P "$TASKS_PROCESS" -x klp_tasks)"
	load $PATCH kind=pause
	switched $PATCH
	freeze 1
	is_frozen
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	probe pause new
	# It is in the function again, the new one.
	freeze 0
	tasks_are_asleep
	set_patch $PATCH 0
	switched $PATCH
	expect_blockers $PATCH 1 'klp_tasks .*'
	freeze 1
	is_frozen
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	probe pause old
	freeze 0
	tasks_are_asleep
	end_tasks
	end_group
}
test_case "a task in the way that is frozen is in the way no more" frozen

killed() {
	core
	hold_signals
	begin_tasks enter pause 20
	load $PATCH kind=pause
	switched $PATCH
	pkill -KILL -P "$TASKS_PROCESS" -x klp_tasks || fail "there is no task"
	TRANSITION_TIMEOUT=30 wait_for_transition $PATCH
	probe pause new
	kill "$TASKS_PROCESS"
}
test_case "tasks in the way that are killed are in the way no more" killed

run_tests
