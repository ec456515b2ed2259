#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: smp
#
# Exceptions: tasks that are in a function when it changes. They go on as they were, for
# everybody else it has changed. On a kernel with livepatch support of its own (VARIANT=peer)
# the same cases run on that.

. "$(dirname "$0")/functions.sh"

PATCH=klp_test_nap_patch_1
NEXT=klp_test_nap_patch_2
ENTER=klp_test_enter_patch

# begin: what all of these cases need.
begin() {
	rm -f "$CASE_DIR"/{said,told}
	core
	load klp_test_naps
	load klp_test_target
}

# both_run VERSION: everybody runs that, in both targets.
both_run() {
	everybody_runs "$1"
	case $1 in
	0) unique 42 ;;
	*) unique $((500 + $1)) ;;
	esac
}

# ended PATCH: by itself.
ended() { TRANSITION_TIMEOUT=30 wait_for_transition "$1"; }

# gone PATCH
gone() {
	local NAME
	set_name "$1"
	wait_for 30 test ! -e "$KLP_SYSFS/$NAME" || fail "the patch $NAME is still there"
}

# is_in FUNCTION PROCESS: a thread of it is in that function, which proc tells.
is_in() {
	wait_for 30 has_stack "$@" || fail "process $2 is not in $1: $(cat "/proc/$2/task/"*/stack)"
}
has_stack() { grep -Eqs "$1" "/proc/$2/task/"*/stack; }

# file_says FILE TEXT: a process writes there, some time.
file_says() {
	wait_for 30 test -s "$1" || fail "nothing is written to $1"
	expect_file "$1" "$2"
}

#
# A task that sleeps uninterruptibly
#

held() {
	begin
	nap deaf
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 "cat klp_test_nap"
	napping 0 1
	release_naps
	ended $PATCH
	napped 0 1
	both_run 1
}
test_case "a task that sleeps in a function goes on with it, for all others it is patched" held

reversed() {
	begin
	nap deaf
	napping 0 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		load $PATCH
		switched $PATCH
		both_run 1
		set_patch $PATCH 0
		# Nobody is in what goes.
		ended $PATCH
		both_run 0
		gone $PATCH
		unload $PATCH
	done
	load $PATCH
	switched $PATCH
	both_run 1
	napping 0 1
	release_naps
	ended $PATCH
	napped 0 1
	both_run 1
}
test_case "a transition is reversed and begun again ten times while a task sleeps" reversed

unpatching_reversed() {
	begin
	load_patch $PATCH
	nap deaf
	napping 1 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		set_patch $PATCH 0
		switched $PATCH
		both_run 0
		unload_refused $PATCH
		set_patch $PATCH 1
		ended $PATCH
		both_run 1
	done
	set_patch $PATCH 0
	switched $PATCH
	both_run 0
	expect_blockers $PATCH 1 "cat (klp_test|new)_nap"
	napping 1 1
	release_naps
	ended $PATCH
	napped 1 1
	both_run 0
	unload $PATCH
}
test_case "the same with a task that sleeps in the new function" unpatching_reversed

# Whichever way it goes, one of the two is in the way.
both_ways() {
	begin
	nap deaf
	napping 0 1
	load $PATCH
	switched $PATCH
	nap deaf
	napping 1 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		both_run 1
		expect_blockers $PATCH 1 "cat klp_test_nap"
		set_patch $PATCH 0
		switched $PATCH
		both_run 0
		expect_blockers $PATCH 1 "cat (klp_test|new)_nap"
		set_patch $PATCH 1
		switched $PATCH
	done
	both_run 1
	napping 0 1
	napping 1 1
	release_naps
	ended $PATCH
	napped 0 1
	napped 1 1
	both_run 1
}
test_case "a transition is reversed ten times while tasks sleep in both functions" both_ways

both_ways_back() {
	begin
	nap deaf
	napping 0 1
	load $PATCH
	switched $PATCH
	nap deaf
	napping 1 1
	set_patch $PATCH 0
	switched $PATCH
	release_naps
	ended $PATCH
	napped 0 1
	napped 1 1
	both_run 0
	unload $PATCH
}
test_case "the same, and it ends where it began" both_ways_back

interruptible() {
	local process
	begin
	hold_signals
	nap
	process=$!
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	send_signals
	ended $PATCH
	expect_log "livepatch: signaling remaining tasks"
	napped 0 1
	wait $process || fail "the process has not ended well"
	hold_signals
	nap
	process=$!
	napping 1 1
	set_patch $PATCH 0
	switched $PATCH
	both_run 0
	send_signals
	ended $PATCH
	napped 1 1
	wait $process || fail "the process has not ended well"
	unload $PATCH
}
test_case "a task that sleeps interruptibly is woken" interruptible

# Not even for a moment does it sleep.
busy() {
	begin
	hold_signals
	nap busy
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 "cat (klp_test_nap|.*unreliable stack.)"
	send_signals
	ended $PATCH
	napped 0 1
	both_run 1
}
test_case "a task that keeps a CPU busy in a function is interrupted" busy

#
# Other kinds of tasks
#

# let_go [woken]: what naps, by a signal or otherwise.
let_go() {
	if [ $# -eq 1 ]; then send_signals; else release_naps; fi
}

# other BEGIN REGEX [woken]: something else than a process naps.
other() {
	begin
	hold_signals
	begin_nap "$1"
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 "$2 klp_test_nap"
	let_go "${@:3}"
	ended $PATCH
	both_run 1

	release_naps
	wait_for 30 is_unused klp_test_naps || fail "the target stays in use"
	napping 0 0
	napping 1 0
	unmixed
	hold_naps
	hold_signals
	begin_nap "$1"
	napping 1 1
	set_patch $PATCH 0
	switched $PATCH
	both_run 0
	expect_blockers $PATCH 1 "$2 (klp_test|new)_nap"
	let_go "${@:3}"
	ended $PATCH
	both_run 0
	unload $PATCH
	release_naps
	napping 1 0
	unmixed
	unload klp_test_naps
}
thread() { other thread klp_test_napper woken; }
thread_deaf() { other thread-deaf klp_test_napper; }
worker() { other work "kworker/.*" woken; }
worker_deaf() { other work-deaf "kworker/.*"; }
test_case "a kernel thread that sleeps interruptibly is woken, and found when it has left" thread
test_case "a kernel thread that sleeps uninterruptibly" thread_deaf
test_case "a worker that sleeps interruptibly is woken" worker
test_case "a worker that sleeps uninterruptibly" worker_deaf

# Reads by io_uring: the file may be polled, which does not sleep, or a worker sleeps in it.
ring_worker() {
	local process
	begin
	klp_tasks ring /proc/klp_test_nap_deaf >"$CASE_DIR/said" &
	process=$!
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 "iou-wrk-.* klp_test_nap"
	release_naps
	ended $PATCH
	napped 0 1
	# A digit and a newline.
	file_says "$CASE_DIR/said" 2
	wait $process || fail "klp_tasks failed"
	both_run 1
}
test_case "a worker of io_uring that sleeps uninterruptibly" ring_worker

ring_worker_woken() {
	local process
	begin
	hold_signals
	klp_tasks ring /proc/klp_test_nap >"$CASE_DIR/said" &
	process=$!
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	send_signals
	ended $PATCH
	napped 0 1
	file_says "$CASE_DIR/said" 2
	wait $process || fail "klp_tasks failed"
}
test_case "a worker of io_uring that sleeps interruptibly is woken" ring_worker_woken

# It runs task work where it waits, and waits on: it leaves when what it waits for comes.
ring_waiter() {
	local process
	begin
	mkfifo "$CASE_DIR/fifo"
	klp_tasks ring "$CASE_DIR/fifo" >"$CASE_DIR/said" &
	process=$!
	is_in io_cqring_wait $process
	load $ENTER kind=ring
	switched $ENTER
	expect_blockers $ENTER 1 "klp_tasks io_cqring_wait"
	expect_eq "what another one gets to" "$(klp_tasks probe ring)" new
	[ -n "$PEER" ] || wait_for 30 log_has "livepatch: signaling remaining tasks" ||
		fail "nobody was sent a signal"
	expect_blockers $ENTER 1 "klp_tasks io_cqring_wait"
	[ ! -s "$CASE_DIR/said" ] || fail "the task has been disturbed: $(<"$CASE_DIR/said")"
	echo >"$CASE_DIR/fifo"
	ended $ENTER
	file_says "$CASE_DIR/said" 1
	wait $process || fail "klp_tasks failed"
}
test_case "a task that waits for an io_uring leaves when it has what it waits for" ring_waiter

# in_the_way HOW KIND FUNCTION: a task that is in the way in some other way, until end_tasks.
in_the_way() {
	core
	begin_tasks "$1"
	load $ENTER kind="$2"
	switched $ENTER
	expect_blockers $ENTER 1 "klp_tasks .*_sys_$2"
	[ "$2" = exit ] || expect_eq "what another one gets to" "$(klp_tasks probe "$2")" new
	[ -n "$PEER" ] || wait_for 30 log_has "livepatch: signaling remaining tasks" ||
		fail "nobody was sent a signal"
	expect_blockers $ENTER 1 "klp_tasks .*_sys_$2"
	end_tasks
	ended $ENTER
}
vforked() { in_the_way vfork vfork; }
traced() { in_the_way traced vfork; }
exiting() { in_the_way exit exit; }

# begin_when_told ARGUMENT...: a klp_tasks that does nothing but read a file, until tell.
begin_when_told() {
	mkfifo "$CASE_DIR/told"
	exec {TELL}<>"$CASE_DIR/told"
	klp_tasks "$@" <"$CASE_DIR/told" >"$CASE_DIR/said" &
}
tell() { echo >&"$TELL"; }

# It does not return to user mode between leaving the function and making another task.
forks() {
	local process
	begin
	begin_when_told fork /proc/klp_test_hold_mm
	process=$!
	wait_for 30 naps_are holding 0 1 || fail "nobody holds the memory's lock"
	tell
	is_in _sys_fork $process
	load $ENTER kind=fork
	switched $ENTER
	expect_blockers $ENTER 1 "klp_tasks .*_sys_fork"
	release_naps
	# From the child, whose parent was in the old function.
	file_says "$CASE_DIR/said" new
	ended $ENTER
	wait $process || fail "klp_tasks failed"
}

# On s390 nothing else of these is on a stack than what everybody calls who makes a process, and
# a new function would have to do all that it does.
if [ "$(uname -m)" = x86_64 ]; then
	test_case "a task that waits for the process that it has made with vfork()" vforked
	test_case "a task that its tracer has stopped" traced
	test_case "the child of an exception is none" forks
fi
test_case "a task that its tracer has stopped while it exits" exiting

# It is frozen when it has left, and not before.
freezing() {
	local process
	begin
	nap deaf
	process=$!
	napping 0 1
	begin_group $process
	freeze 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 "cat klp_test_nap"
	grep -qx "frozen 0" "$GROUP/cgroup.events" || fail "a task that sleeps in a function is frozen"
	release_naps
	ended $PATCH
	is_frozen
	both_run 1
	freeze 0
	napped 0 1
	wait $process || fail "the process has not ended well"
	end_group
}
test_case "a task that is to be frozen" freezing

executes() {
	local process
	begin
	begin_when_told exec /proc/klp_test_nap_deaf
	process=$!
	napping 0 1
	tell
	is_in _sys_execveat $process
	load $ENTER kind=exec
	switched $ENTER
	expect_blockers $ENTER 1 "klp_tasks .*_sys_execveat"
	expect_eq "what another one gets to" "$(klp_tasks probe exec)" new
	release_naps
	# From the program that it executes.
	file_says "$CASE_DIR/said" new
	ended $ENTER
	wait $process || fail "klp_tasks failed"
}
test_case "an exception executes a program" executes

killed() {
	local process
	begin
	hold_signals
	nap
	process=$!
	napping 0 1
	load $PATCH
	switched $PATCH
	kill -KILL $process
	ended $PATCH
	napped 0 1

	# And one that does not hear it.
	nap deaf
	process=$!
	napping 1 1
	set_patch $PATCH 0
	switched $PATCH
	both_run 0
	kill -KILL $process
	expect_blockers $PATCH 1 "cat (klp_test|new)_nap"
	napping 1 1
	release_naps
	ended $PATCH
	napped 1 1
	unload $PATCH
}
test_case "an exception is killed" killed

# die_napping: a process that is killed, and naps when it closes its files.
die_napping() {
	local process
	cat <"$CASE_DIR/nothing" 5</proc/klp_test_nap_close &
	process=$!
	wait_for 30 has_opened $process || fail "the process has not begun"
	kill -KILL $process
}
has_opened() { [[ $(readlink "/proc/$1/exe") == */cat && $(readlink "/proc/$1/fd/5") == */klp_test_nap_close ]]; }

# Task work is run while a process exits, and this is in it.
exit_closes() {
	begin
	die_napping
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 "cat klp_test_nap"
	release_naps
	ended $PATCH
	napped 0 1
	hold_naps

	die_napping
	napping 1 1
	set_patch $PATCH 0
	switched $PATCH
	both_run 0
	release_naps
	ended $PATCH
	napped 1 1
	unload $PATCH
}
test_case "an exception is exiting, and closes its files" exit_closes

# The same in task work that is run on the way to user mode.
closes() {
	local process
	begin
	(
		exec 5</proc/klp_test_nap_close
		exec 5<&-
		# It is no exception any more.
		echo "$(</proc/klp_test_step)" >"$CASE_DIR/said"
		pause
	) &
	process=$!
	napping 0 1
	load $PATCH
	switched $PATCH
	both_run 1
	expect_blockers $PATCH 1 ".* klp_test_nap"
	release_naps
	file_says "$CASE_DIR/said" 1
	ended $PATCH
	napped 0 1
	wait $process || fail "the process has failed"
}
test_case "an exception is in other task work, on its way to user mode" closes

#
# Processors, other patches, targets
#

# on_cpu CPU VERSION
on_cpu() {
	expect_eq "klp_test_step() on CPU $1" "$(taskset -c "$1" cat /proc/klp_test_step)" "$2"
}

hotplug() {
	local online=/sys/devices/system/cpu/cpu1/online
	[ -e "$online" ] || fail "CPU 1 cannot be taken offline"
	begin
	hold_signals
	# shellcheck disable=SC2064 # that file
	trap "echo 1 >$online" EXIT
	taskset -c 1 cat /proc/klp_test_nap_deaf >/dev/null &
	napping 0 1
	load $PATCH
	switched $PATCH
	for _ in 1 2 3; do
		echo 0 >"$online"
		both_run 1
		on_cpu 0 1
		echo 1 >"$online"
		on_cpu 1 1
		on_cpu 0 1
		in_transition $PATCH || fail "the transition has ended"
		napping 0 1
	done
	# Back while it is offline.
	echo 0 >"$online"
	set_patch $PATCH 0
	ended $PATCH
	both_run 0
	echo 1 >"$online"
	on_cpu 1 0
	gone $PATCH
	unload $PATCH
	# It is offline when the transition begins.
	echo 0 >"$online"
	load $PATCH
	switched $PATCH
	echo 1 >"$online"
	on_cpu 1 1
	echo 0 >"$online"
	release_naps
	ended $PATCH
	napped 0 1
	echo 1 >"$online"
	on_cpu 1 1
	on_cpu 0 1
}
test_case "a CPU goes offline and comes online while there are exceptions" hotplug

second_patch() {
	begin
	load_patch $PATCH
	nap deaf
	napping 1 1
	for _ in 1 2 3; do
		load $NEXT
		switched $NEXT
		both_run 2
		expect_blockers $NEXT 1 "cat klp_test_nap"
		set_patch $NEXT 0
		ended $NEXT
		both_run 1
		gone $NEXT
		unload $NEXT
	done
	load $NEXT
	switched $NEXT
	load_refused klp_test_nap_patch_3 EBUSY ""
	both_run 2
	release_naps
	ended $NEXT
	napped 1 1
	both_run 2

	# What is below changes nothing for who is above.
	hold_naps
	nap deaf
	napping 2 1
	unload_patch $PATCH
	both_run 2
	set_patch $NEXT 0
	switched $NEXT
	both_run 0
	release_naps
	ended $NEXT
	napped 2 1
	unload $NEXT
}
test_case "a second patch, while a task sleeps in the function of the first one" second_patch

replaced() {
	begin
	load_patch $PATCH
	nap deaf
	napping 1 1
	for _ in 1 2 3; do
		load $NEXT replace=1
		switched $NEXT
		both_run 2
		unload_refused $PATCH
		set_patch $NEXT 0
		ended $NEXT
		both_run 1
		expect_file "$KLP_SYSFS/$PATCH/enabled" 1
		gone $NEXT
		unload $NEXT
	done
	load $NEXT replace=1
	switched $NEXT
	both_run 2
	expect_blockers $NEXT 1 "cat (klp_test|new)_nap"
	napping 1 1
	release_naps
	ended $NEXT
	napped 1 1
	both_run 2
	gone $PATCH
	unload $PATCH
	both_run 2
}
test_case "a replacement, while a task sleeps in the function of the patch that is replaced" replaced

# It has neither function: both are the originals again.
replaced_by_nothing() {
	begin
	load_patch $PATCH
	nap deaf
	napping 1 1
	load klp_test_patch sympos=1 replace=1
	switched klp_test_patch
	both_run 0
	expect_file /proc/klp_test_values "shared 7000 2 3 unique 42"
	expect_blockers klp_test_patch 1 "cat (klp_test|new)_nap"
	napping 1 1
	release_naps
	ended klp_test_patch
	napped 1 1
	gone $PATCH
	unload $PATCH
	both_run 0
}
test_case "a replacement for something else, while a task sleeps in what is not patched any more" replaced_by_nothing

targets() {
	begin
	nap deaf
	napping 0 1
	load $PATCH
	switched $PATCH
	for _ in 1 2 3; do
		both_run 1
		unload klp_test_target
		everybody_runs 1
		load klp_test_target
		both_run 1
	done
	set_patch $PATCH 0
	ended $PATCH
	both_run 0
	gone $PATCH
	unload $PATCH

	# It is not there when the transition begins.
	unload klp_test_target
	load $PATCH
	switched $PATCH
	load klp_test_target
	both_run 1
	release_naps
	ended $PATCH
	napped 0 1
	both_run 1

	# And back.
	hold_naps
	nap deaf
	napping 1 1
	set_patch $PATCH 0
	switched $PATCH
	for _ in 1 2 3; do
		both_run 0
		unload klp_test_target
		everybody_runs 0
		load klp_test_target
		both_run 0
	done
	set_patch $PATCH 1
	ended $PATCH
	both_run 1
	set_patch $PATCH 0
	switched $PATCH
	unload klp_test_target
	release_naps
	ended $PATCH
	napped 1 1
	unload $PATCH
	load klp_test_target
	both_run 0
}
test_case "a target comes and goes while there are exceptions elsewhere" targets

run_tests
