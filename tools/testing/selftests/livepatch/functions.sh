# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The harness of the livepatch selftests. A test script reads it, declares its
# cases and runs them:
#
#	. "$(dirname "$0")/functions.sh"
#
#	replaces_cmdline() {
#		load_core
#		load_patch livepatch-cmdline
#		expect_file /proc/cmdline "..."
#	}
#	test_case "the command line is replaced" replaces_cmdline
#
#	run_tests
#
# A case is a function run in a shell of its own, where any command that fails
# ends the case. After it, and whatever it did, the harness kills the processes
# that it started, disables its patches, unloads its modules and reads the kernel
# log since its beginning. A case is "ok" if its commands succeeded, nothing was
# left that could not be removed, and the log shows no sign of a kernel bug.
# Nothing is ever skipped: a case that lacks something it needs is "not ok".
#
# A new process takes an emulated s390 a tenth of a second. What is done for every case,
# or again and again, is therefore done by the shell itself.

MODULES=${MODULES:-/lib/livepatch-tests}
KLP_SYSFS=${KLP_SYSFS:-/sys/kernel/livepatch}
# Seconds. Emulated CPUs are slow: these bound a hang, they time nothing.
TRANSITION_TIMEOUT=${TRANSITION_TIMEOUT:-60}
CLEANUP_TIMEOUT=${CLEANUP_TIMEOUT:-60}

# Text by which the kernel tells that it found a bug in itself, an expression a line.
KERNEL_BUGS=${KERNEL_BUGS:-/.vm/kernel-bugs}

CASE_NAMES=()
CASE_FUNCTIONS=()
# An expression: only cases whose names match are run.
CASE=${CASE:-}

# A kernel with livepatch support of its own (VARIANT=peer): its core is there before
# anything is loaded. Cases that take one as well begin with core, and ask nothing of it
# that only livepatch.ko has.
PEER=
[ ! -e "$KLP_SYSFS" ] || PEER=1

# compressed NAME...: the files of a module, by the ways in which it is compressed (gzip, xz,
# zstd). Without them: by that which this kernel undoes itself, if it does.
compressed() {
	local name=$1 method
	shift
	if [ $# -eq 0 ]; then
		[ ! -e /sys/module/compression ] || set -- "$(</sys/module/compression)"
	fi
	for method; do
		echo "$MODULES/$name-$method.ko."*
	done
}

# test_case DESCRIPTION FUNCTION
test_case() {
	CASE_NAMES+=("$1")
	CASE_FUNCTIONS+=("$2")
}

# Where it is, it says which breakpoint traps are the emulator's, and survives these.
INT3=/sys/module/klp_test_int3/parameters/report

#
# For cases: conditions and expectations
#

# fail MESSAGE: end the case. The record counts also where the shell that ends
# here is not the case's own, as in a command substitution.
fail() {
	echo "FAIL: $1 ($(place))"
	echo "$1" >>"$CASE_DIR/failed"
	exit 1
} >&2

# place: the file and line of the case that is run, not of a function here.
place() {
	local frame
	for frame in "${!BASH_SOURCE[@]}"; do
		[ "${BASH_SOURCE[frame]}" = "${BASH_SOURCE[0]}" ] && continue
		echo "${BASH_SOURCE[frame]##*/}:${BASH_LINENO[frame - 1]}"
		return
	done
}

# wait_for SECONDS CONDITION...: until the command succeeds; fails after SECONDS.
wait_for() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$deadline" ] || return 1
		pause
	done
}

# stands_in PROCESS FUNCTION MODULE [OTHER]: it sleeps there, soon, and not in the other function,
# so far as its stack tells.
stands_in() {
	local STACK=
	wait_for 20 is_on_stack "$@" || fail "process $1 is not in $2: $STACK"
	[ -z "${4:-}" ] || ! grep -Eq " $4\+" <<<"$STACK" || fail "process $1 is also in $4: $STACK"
}
is_on_stack() {
	STACK=$(<"/proc/$1/stack")
	grep -Eq " $2\+.* \[$3\]$" <<<"$STACK"
}

# pause: a twentieth of a second, without a process. Nothing is ever to be read there.
pause() {
	read -rt 0.05 -u "$NOTHING" || true
}

# expect_eq WHAT GOT WANTED
expect_eq() {
	[ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}

# expect_file PATH CONTENT
expect_file() {
	local content
	content=$(<"$1") || fail "cannot read $1"
	expect_eq "$1" "$content" "$2"
}

# reads FILE VALUE: whether that is its line; one that is not there does not.
reads() {
	local value=
	{ read -r value <"$1"; } 2>/dev/null && [ "$value" = "$2" ]
}

# case_log: the kernel log since the case began, which has cleared it before.
case_log() {
	local line seen=
	while IFS= read -r line; do
		if [ -n "$seen" ]; then
			printf '%s\n' "$line"
		elif [[ $line == *"$CASE_MARK"* ]]; then
			seen=1
		fi
	done < <(dmesg --notime)
	[ -n "$seen" ] ||
		echo "BUG: the harness lost the beginning of the case: the kernel log was cleared or is full"
}

# log_has REGEX
log_has() {
	# Not a pipe: its writer would fail once grep has seen enough.
	grep -Eq -- "$1" <<<"$(case_log)"
}

# expect_log REGEX
expect_log() {
	log_has "$1" || fail "the kernel log has no line with '$1'"
}

# expect_no_log REGEX
expect_no_log() {
	! log_has "$1" || fail "the kernel log has '$(grep -E -m 1 -- "$1" <<<"$(case_log)")', which matches '$1'"
}

# expect_warning REGEX: the kernel warns once in this case, in a line that matches, and that is no
# bug.
expect_warning() {
	printf '%s\n' "$1" >"$CASE_DIR/expected"
}

# without_warning: the log, without one warning, if it is what was expected; else as it is.
without_warning() {
	WANTED=$(<"$CASE_DIR/expected") awk '
		BEGIN { wanted = ENVIRON["WANTED"] }
		{ line[NR] = $0 }
		/cut here/ { starts++; start = NR }
		/WARNING:/ { warnings++; matches += $0 ~ wanted }
		/end trace/ { ends++; end = NR }
		END {
			one = starts == 1 && warnings == 1 && matches == 1 && ends == 1 && start < end
			if (!one) print "BUG: there is not one warning like " wanted
			for (i = 1; i <= NR; i++) if (!one || i < start || i > end) print line[i]
		}'
}

#
# For cases: modules
#

# module_name MODULE: the kernel's name for livepatch-foo, livepatch_foo.ko.gz...
module_name() {
	local NAME
	set_name "$1"
	echo "$NAME"
}

# set_name MODULE: the same, in the variable NAME.
set_name() {
	NAME=${1##*/}
	NAME=${NAME%%.ko*}
	NAME=${NAME//-/_}
}

# module_file MODULE: a path, a file of the modules' directory, or the name of one.
module_file() {
	case "$1" in
	*/*) echo "$1" ;;
	*.ko*) echo "$MODULES/$1" ;;
	*) echo "$MODULES/$1.ko" ;;
	esac
}

# is_loaded MODULE
is_loaded() {
	local NAME modules
	set_name "$1"
	# Not line by line: between two reads of the file others come and go.
	modules=$'\n'$(</proc/modules)
	[[ $modules == *$'\n'"$NAME "* ]]
}

# has_state MODULE Loading|Unloading: while its init function runs, or when it is about to go.
has_state() {
	local NAME
	set_name "$1"
	grep -q "^$NAME .* $2 " /proc/modules
}

# is_unused MODULE
is_unused() {
	local NAME
	set_name "$1"
	reads "/sys/module/$NAME/refcnt" 0
}

# load MODULE [ARGUMENT]...
load() {
	local file output
	file=$(module_file "$1")
	shift
	[ -f "$file" ] || fail "there is no module $file"
	output=$(insmod "$file" "$@" 2>&1) || fail "insmod $file $*: $output"
}

# errno_text NAME: how insmod words it; for some it has words of its own.
errno_text() {
	case "$1" in
	E2BIG) echo 'Argument list too long' ;;
	EAGAIN) echo 'Resource temporarily unavailable' ;;
	EBUSY) echo 'Device or resource busy' ;;
	EEXIST) echo 'File exists' ;;
	EFAULT) echo 'Bad address' ;;
	EINVAL) echo 'Invalid (argument|parameters)' ;;
	ENAMETOOLONG) echo 'File name too long' ;;
	ENODATA) echo 'No data available' ;;
	ENODEV) echo 'No such device' ;;
	ENOMSG) echo 'No message of desired type' ;;
	ENOENT) echo '(No such file or directory|Unknown symbol in module.*)' ;;
	ENOEXEC) echo '(Exec format error|Invalid module format)' ;;
	ENOMEM) echo 'Cannot allocate memory' ;;
	ENOSYS) echo 'Function not implemented' ;;
	ENXIO) echo 'No such device or address' ;;
	EOPNOTSUPP) echo 'Operation not supported' ;;
	EOVERFLOW) echo 'Value too large for defined data type' ;;
	EPERM) echo 'Operation not permitted' ;;
	ERANGE) echo 'Numerical result out of range' ;;
	ESRCH) echo '(No such process|Module has wrong symbol version)' ;;
	*) fail "errno_text does not know $1" ;;
	esac
}

# load_refused MODULE ERRNO REGEX [ARGUMENT]...: insmod must fail with that errno
# and leave nothing; what the kernel logs meanwhile must match.
load_refused() {
	local file wanted=$2 regex=$3 text output begins new
	file=$(module_file "$1")
	shift 3
	[ -f "$file" ] || fail "there is no module $file"
	text=$(errno_text "$wanted")
	begins="livepatch-test: insmod begins $EPOCHREALTIME"
	echo "$begins" >/dev/kmsg
	output=$(insmod "$file" "$@" 2>&1) && fail "insmod $file $* was to be refused with $wanted, but succeeded"
	# A message without a line end of its own ends with the next one.
	echo "livepatch-test: insmod has failed" >/dev/kmsg
	[[ $output =~ "could not insert module ".*": "($text)$ ]] ||
		fail "insmod $file $* was to be refused with $wanted, but said: $output"
	new=$(case_log)
	new=${new##*"$begins"$'\n'}
	grep -Eq -- "$regex" <<<"$new" ||
		fail "$file was refused, but the kernel log has no line with '$regex'; it says: ${new:-nothing}"
	! is_loaded "$file" || fail "$file was refused, but is in /proc/modules"
}

# unload MODULE: a patch's module is held for a moment after its transition.
unload() {
	local NAME output
	set_name "$1"
	is_loaded "$NAME" || fail "module $NAME is not loaded"
	wait_for "$TRANSITION_TIMEOUT" is_unused "$NAME" || fail "module $NAME stays in use"
	output=$(rmmod "$NAME" 2>&1) || fail "rmmod $NAME: $output"
}

# unload_refused MODULE
unload_refused() {
	local NAME
	set_name "$1"
	is_loaded "$NAME" || fail "module $NAME is not loaded"
	! rmmod "$NAME" 2>/dev/null || fail "rmmod $NAME was to be refused, but succeeded"
	is_loaded "$NAME" || fail "rmmod $NAME failed, but the module is gone"
}

# load_core [ARGUMENT]...
load_core() { load livepatch "$@"; }

unload_core() { unload livepatch; }

# core [ARGUMENT]...: what patches need.
core() { [ -n "$PEER" ] || load_core "$@"; }

#
# For cases: patches
#

# in_transition PATCH: a patch that is gone has none left.
in_transition() {
	local NAME
	set_name "$1"
	reads "$KLP_SYSFS/$NAME/transition" 1
}

# transition_ended PATCH
transition_ended() { ! in_transition "$1"; }

# wait_for_transition PATCH
wait_for_transition() {
	wait_for "$TRANSITION_TIMEOUT" transition_ended "$1" ||
		fail "the transition of $1 has not ended after $TRANSITION_TIMEOUT s"
}

# set_patch PATCH 0|1: write 'enabled' and wait for no transition.
set_patch() {
	local NAME file
	set_name "$1"
	file=$KLP_SYSFS/$NAME/enabled
	[ -f "$file" ] || fail "there is no $file"
	# shellcheck disable=SC2320 # a write is refused through echo's status
	echo "$2" >"$file" || fail "writing $2 to $file was refused"
}

enable_patch() {
	set_patch "$1" 1
	wait_for_transition "$1"
}

disable_patch() {
	set_patch "$1" 0
	wait_for_transition "$1"
}

# be_quick MODULE init|exit: that function of it has waited long enough.
be_quick() { echo 0 >"/sys/module/$1/parameters/slow_$2"; }

# load_patch MODULE [ARGUMENT]...: load and wait for the end of the transition.
load_patch() {
	local NAME
	set_name "$1"
	load "$@"
	expect_file "$KLP_SYSFS/$NAME/enabled" 1
	wait_for_transition "$1"
}

# unload_patch MODULE: disable and unload.
unload_patch() {
	disable_patch "$1"
	unload "$1"
}

# switched PATCH: in transition, and in effect for everybody but those in the way.
switched() {
	local NAME phase
	set_name "$1"
	phase=/sys/kernel/debug/livepatch/$NAME/phase
	if [ -z "$PEER" ]; then
		wait_for 30 reads "$phase" switched ||
			fail "$NAME is not in effect for anybody: its phase is '$(cat "$phase")'"
	fi
	in_transition "$NAME" || fail "the transition of $NAME has ended"
}

# switched_but PATCH PROCESS: in effect for everybody but that one, which is said to be in the way.
switched_but() {
	local NAME
	switched "$1"
	[ -z "$PEER" ] || return 0
	set_name "$1"
	wait_for 30 grep -q "^$2 " "/sys/kernel/debug/livepatch/$NAME/blockers" ||
		fail "blockers does not name process $2: $(<"/sys/kernel/debug/livepatch/$NAME/blockers")"
}

# keeps_waiting PATCH [MODULE]: its transition, however often it is tried, while the module (else the
# patch's own) cannot be removed.
keeps_waiting() {
	for _ in {1..30}; do
		in_transition "$1" || fail "the transition of $1 has ended while a task is in the way"
		unload_refused "${2:-$1}"
		sleep 0.1
	done
}

# are_blockers PATCH COUNT REGEX: whether so many tasks, and no other, are in the way: each is
# "COMM FUNCTION".
are_blockers() {
	local NAME lines
	set_name "$1"
	mapfile -t lines <"/sys/kernel/debug/livepatch/$NAME/blockers"
	[ "${#lines[@]}" -eq "$2" ] && ! grep -Evxq "[0-9]+ $3" <<<"$(printf '%s\n' "${lines[@]}")"
}

# expect_blockers PATCH COUNT REGEX: soon. Besides them, a task that was seen at a bad moment
# may stand there for a while.
expect_blockers() {
	local NAME
	[ -z "$PEER" ] || return 0
	set_name "$1"
	wait_for 30 are_blockers "$@" ||
		fail "there are not $2 blockers like '$3': $(head -n 20 "/sys/kernel/debug/livepatch/$NAME/blockers")"
}

# Tasks in the way are sent signals at once, or not before that.
send_signals() { [ -n "$PEER" ] || echo 0 >/sys/module/livepatch/parameters/signal_after; }
hold_signals() { [ -n "$PEER" ] || echo 1000000 >/sys/module/livepatch/parameters/signal_after; }

#
# For cases: klp_tasks
#

# begin_tasks ARGUMENT...: until end_tasks.
begin_tasks() {
	coproc TASKS { exec klp_tasks "$@"; }
	TASKS_OUTPUT=${TASKS[0]} TASKS_INPUT=${TASKS[1]} TASKS_PROCESS=$TASKS_PID
	tasks_say ready
}

# tasks_say WORD: next.
tasks_say() {
	local line
	read -r line <&"$TASKS_OUTPUT" || fail "klp_tasks says nothing"
	expect_eq "what klp_tasks says" "$line" "$1"
}

# tasks_are_asleep: all of those that enter a system call again and again are in it again.
tasks_are_asleep() {
	echo >&"$TASKS_INPUT"
	tasks_say ready
}

end_tasks() {
	exec {TASKS_INPUT}>&-
	wait "$TASKS_PROCESS" || fail "klp_tasks failed"
}

#
# For cases: klp_test_target
#

# unique VALUE: what its function unique_value() must return.
unique() {
	local values
	values=$(</proc/klp_test_values) || fail "cannot read /proc/klp_test_values"
	expect_eq "unique_value()" "${values##* unique }" "$1"
}

# sleeping COUNT: whether so many tasks sleep in its function klp_test_sleeper().
sleeping() {
	reads /sys/module/klp_test_target/parameters/sleepers "$1"
}

# sleep_in_target FILE: a task that sleeps in klp_test_sleeper().
sleep_in_target() {
	cat "/proc/$1" >/dev/null &
	wait_for 20 sleeping 1 || fail "nobody sleeps in the function"
}

#
# For cases: klp_test_naps
#

# naps_are WHAT VERSION COUNT: whether so many nap, or have napped, in that version.
naps_are() {
	local words
	while read -ra words; do
		[ "${words[0]}" != "$1" ] || [ "${words[$2 + 1]}" -ne "$3" ] || return 0
	done </proc/klp_test_naps
	return 1
}

# napping VERSION COUNT
napping() {
	wait_for 30 naps_are napping "$@" || fail "there are not $2 naps in version $1: $(</proc/klp_test_naps)"
}

# napped VERSION COUNT: and none that called other versions.
napped() {
	wait_for 30 naps_are napped "$@" || fail "there were not $2 naps in version $1: $(</proc/klp_test_naps)"
	unmixed
}

# unmixed: all naps have called functions of their own version.
unmixed() {
	naps_are mixed 0 0 || fail "there were naps in which versions were mixed: $(</proc/klp_test_naps)"
}

# nap [deaf|busy]: in a process of its own.
nap() { cat "/proc/klp_test_nap${1:+_$1}" >/dev/null & }

# begin_nap thread|thread-deaf|work|work-deaf
begin_nap() { echo "$1" >/sys/module/klp_test_naps/parameters/begin; }

# Those that nap deafly go, and others can come.
release_naps() { echo 1 >/sys/module/klp_test_naps/parameters/release; }
hold_naps() { echo 0 >/sys/module/klp_test_naps/parameters/release; }

# everybody_runs VERSION
everybody_runs() {
	expect_file /proc/klp_test_step "$1"
	expect_eq "klp_test_step() in a new process" "$(cat /proc/klp_test_step)" "$1"
}

#
# For cases: a cgroup
#

# begin_group PROCESS: with that in it, until end_group or the end of the case.
begin_group() {
	GROUP=$CASE_DIR/cgroup/group
	mkdir "${GROUP%/*}"
	mount -t cgroup2 cgroup2 "${GROUP%/*}"
	trap end_group EXIT
	# An earlier case may have left it.
	mkdir -p "$GROUP"
	echo "$1" >"$GROUP/cgroup.procs"
}

end_group() {
	[ -d "$GROUP" ] || return 0
	freeze 0
	# Not while its processes are there.
	wait_for 5 rmdir "$GROUP" 2>/dev/null || true
	umount -l "${GROUP%/*}"
	rmdir "${GROUP%/*}"
}

# freeze 1|0: its tasks, each when it comes to where it would return to user mode.
freeze() { echo "$1" >"$GROUP/cgroup.freeze"; }

# is_frozen: all of them are.
is_frozen() {
	wait_for 30 grep -qx "frozen 1" "$GROUP/cgroup.events" ||
		fail "the tasks are not frozen: $(<"$GROUP/cgroup.events")"
}

#
# For cases: klp_others_target
#

# others FIRST SECOND patched|original: what its two functions value() must return, and which
# klp_others_special() must run. With the patch, each table of the module's is in use.
others() {
	local special=$3
	[ "$special" != patched ] || special="key 1 call 20 alternative 2 exception -14"
	expect_file /proc/klp_others "value $1 $2"$'\n'"special $special"
}

# expect_callbacks CALLBACK...: which of its patch's have run.
expect_callbacks() {
	local callback
	for callback; do
		expect_log "klp_others: $callback klp_others_target"
	done
}

# trace_some EVENT COMMAND...: run the command three times, the second time with the event's
# tracepoint switched on. What it has told is in /tmp/traced.
trace_some() {
	local tracing=/sys/kernel/tracing event=$1
	shift
	echo >$tracing/trace
	"$@"
	echo 1 >"$tracing/events/$event/enable"
	"$@"
	echo 0 >"$tracing/events/$event/enable"
	"$@"
	grep -v '^#' $tracing/trace >/tmp/traced || fail "the tracepoint $event has not told anything"
}

# traced REGEX: it must have told that, once.
traced() {
	expect_eq "how often '$1' was traced" "$(grep -Ec -- "$1" /tmp/traced || true)" 1
}

#
# The harness
#

# set_new_modules: in NEW, what is loaded now and was not before the cases.
set_new_modules() {
	local module modules scenery
	scenery=" $(<"$CASE_DIR/scenery") "
	modules=$(</proc/modules)
	NEW=()
	while read -r module _; do
		[[ -z $module || $scenery == *[[:space:]]"$module"[[:space:]]* ]] || NEW+=("$module")
	done <<<"$modules"
}

# accept_modules: what is loaded now is not the cases' doing, and stays.
accept_modules() { cut -d' ' -f1 /proc/modules >"$CASE_DIR/scenery"; }

# set_busy_patches: in BUSY, the names of those that are enabled or in transition.
set_busy_patches() {
	local dir name stuck
	stuck=" $(<"$CASE_DIR/stuck-patches") "
	BUSY=()
	for dir in "$KLP_SYSFS"/*/; do
		name=${dir%/}
		name=${name##*/}
		[[ $stuck == *[[:space:]]"$name"[[:space:]]* ]] && continue
		if reads "$dir/enabled" 1 || reads "$dir/transition" 1; then
			BUSY+=("$name")
		fi
	done
}

# A transition is reversed, if that is what it takes; while another patch's runs,
# the write fails, so it is tried again and again.
all_patches_disabled() {
	local patch BUSY
	set_busy_patches
	for patch in "${BUSY[@]}"; do
		! reads "$KLP_SYSFS/$patch/enabled" 1 || echo 0 >"$KLP_SYSFS/$patch/enabled"
	done 2>/dev/null
	set_busy_patches
	[ "${#BUSY[@]}" -eq 0 ]
}

# In any order: a module that others use goes in a later round.
all_modules_unloaded() {
	local module NEW
	set_new_modules
	for module in "${NEW[@]}"; do
		! is_unused "$module" || rmmod "$module" 2>/dev/null
	done
	set_new_modules
	[ "${#NEW[@]}" -eq 0 ]
}

# clean_up: say what cannot be removed; it is then part of the scenery, so that
# later cases are not blamed for it.
clean_up() {
	local patch module parameter status=0 BUSY NEW
	# Tasks that sleep in a test module, deaf to signals, hold patches and modules.
	for parameter in /sys/module/*/parameters/release; do
		[ ! -e "$parameter" ] || echo 1 >"$parameter"
	done
	for parameter in /sys/module/*/parameters/slow_{init,exit}; do
		[ ! -e "$parameter" ] || echo 0 >"$parameter"
	done
	if ! wait_for "$CLEANUP_TIMEOUT" all_patches_disabled; then
		set_busy_patches
		for patch in "${BUSY[@]}"; do
			echo "LEFTOVER: patch $patch cannot be disabled: enabled $(cat "$KLP_SYSFS/$patch/enabled"), transition $(cat "$KLP_SYSFS/$patch/transition")"
			echo "$patch" >>"$CASE_DIR/stuck-patches"
			status=1
		done
	fi
	if ! wait_for "$CLEANUP_TIMEOUT" all_modules_unloaded; then
		set_new_modules
		for module in "${NEW[@]}"; do
			echo "LEFTOVER: module $module cannot be unloaded: $(rmmod "$module" 2>&1)"
			status=1
		done
		accept_modules
	fi
	return "$status"
}

# run_case INDEX: status 0 and no output, or diagnostics.
run_case() {
	local function=${CASE_FUNCTIONS[$1]} pid status=0 bugs
	rm -f "$CASE_DIR/failed" "$CASE_DIR/expected"
	# Every look at the log reads all of it.
	dmesg --clear
	CASE_MARK="livepatch-test: ${0##*/} case $(($1 + 1)), ${CASE_NAMES[$1]} [$$ $EPOCHREALTIME]"
	echo "$CASE_MARK" >/dev/kmsg

	# Job control gives the case a process group, by which what it leaves
	# behind can be found.
	set -m
	(
		set -eEuo pipefail
		trap 'echo "$(place): \"$BASH_COMMAND\" failed with status $?"' ERR
		"$function"
	) >"$CASE_DIR/output" 2>&1 </dev/null &
	pid=$!
	set +m
	wait "$pid" || status=$?
	kill -KILL -- "-$pid" 2>/dev/null

	clean_up >"$CASE_DIR/leftovers" || status=1
	[ ! -e "$CASE_DIR/failed" ] || status=1
	case_log >"$CASE_DIR/log"
	if [ -e "$CASE_DIR/expected" ]; then
		bugs=$(without_warning <"$CASE_DIR/log" | grep -E -f "$KERNEL_BUGS") && status=1
	else
		bugs=$(grep -E -f "$KERNEL_BUGS" "$CASE_DIR/log") && status=1
	fi
	if [ -e "$INT3" ] && ! grep -q ' single 0 ' "$INT3"; then
		bugs+="${bugs:+$'\n'}breakpoint traps that nobody claimed: $(<"$INT3")"
		status=1
	fi
	[ "$status" -eq 0 ] && return 0

	cat "$CASE_DIR/output" "$CASE_DIR/leftovers"
	[ -z "$bugs" ] || printf '%s\n' "KERNEL BUG: ${bugs//$'\n'/$'\n'KERNEL BUG: }"
	if [ -s "$CASE_DIR/log" ]; then
		echo "the end of the kernel log:"
		tail -n 40 "$CASE_DIR/log" | sed 's/^/  /'
	fi
	[ -s "$CASE_DIR/output" ] || [ -s "$CASE_DIR/leftovers" ] || [ -n "$bugs" ] ||
		echo "the case ended with status $status"
	return 1
}

# run_tests: run every case, print the results as TAP; status 1 if any failed.
run_tests() {
	local index strict status chosen=() number=0 failed=0
	set +e
	# Where bash is told to ignore a status, it ignores it all the way down.
	strict=$(
		set -e
		false
		echo no
	)
	if [ -n "$strict" ]; then
		echo "Bail out! run_tests stands in a condition, where no failure would be seen"
		exit 1
	fi
	if [ ! -s "$KERNEL_BUGS" ]; then
		echo "Bail out! there is no $KERNEL_BUGS, by which to judge the kernel's log"
		exit 1
	fi
	CASE_DIR=$(mktemp -d)
	mkfifo "$CASE_DIR/nothing"
	exec {NOTHING}<>"$CASE_DIR/nothing"
	if [ -e "$MODULES/klp_test_int3.ko" ] && ! is_loaded klp_test_int3; then
		insmod "$MODULES/klp_test_int3.ko" || echo "Bail out! klp_test_int3.ko cannot be loaded"
	fi
	accept_modules
	: >"$CASE_DIR/stuck-patches"
	echo "TAP version 13"
	for index in "${!CASE_NAMES[@]}"; do
		[[ ! ${CASE_NAMES[index]} =~ $CASE ]] || chosen+=("$index")
	done
	echo "1..${#chosen[@]}"
	for index in "${chosen[@]}"; do
		number=$((number + 1))
		# Not in the condition, for the reason above.
		run_case "$index" >"$CASE_DIR/diagnostics" 2>&1
		status=$?
		if [ "$status" -eq 0 ]; then
			echo "ok $number ${CASE_NAMES[$index]}"
		else
			echo "not ok $number ${CASE_NAMES[$index]}"
			sed 's/^/# /' "$CASE_DIR/diagnostics"
			failed=1
		fi
	done
	rm -rf "$CASE_DIR"
	return "$failed"
}
