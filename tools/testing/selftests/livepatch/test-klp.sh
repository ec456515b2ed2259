#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The klp command on the machine that is patched. On a kernel with livepatch support
# of its own (VARIANT=peer) the same cases run on that, without livepatch.ko's own.

. "$(dirname "$0")/functions.sh"

PATCH=klp_test_sleeper_patch
ENTER=klp_test_enter_patch
TARGET=/sys/module/klp_test_target/parameters
SAMPLE=$MODULES/livepatch-sample.ko
SLEEPER=$MODULES/$PATCH.ko
PLACE=/lib/modules/$(uname -r)/extra

# What klp says of a task that cannot be interrupted in klp_test_sleeper(): it sleeps in bits.
NAPS='sleeping uninterruptibly.*|running'

# says STATUS REGEX ARGUMENT...: klp must end with that status, and say that.
says() {
	local wanted=$1 regex=$2 status=0 output
	shift 2
	output=$(klp "$@" 2>&1) || status=$?
	[ "$status" = "$wanted" ] || fail "klp $* ended with status $status, not $wanted; it said: $output"
	grep -Eq -- "$regex" <<<"$output" || fail "klp $* has no line with '$regex'; it said: $output"
}

# never_says REGEX ARGUMENT...
never_says() {
	local regex=$1 output
	shift
	output=$(klp "$@" 2>&1) || true
	! grep -Eq -- "$regex" <<<"$output" || fail "klp $* has a line with '$regex'; it said: $output"
}

# begin_sleep FILE [ARGUMENT]...: a core, and a task that sleeps in klp_test_sleeper().
begin_sleep() {
	local file=$1
	shift
	core "$@"
	load klp_test_target
	sleep_in_target "$file"
}

# holds FUNCTION: what klp says of the task that sleeps. The switch for the others may not have
# been made yet.
holds() { echo "[0-9] s, .*[0-9]+ cat in ($1)\(\) \((sleeping|running)"; }

loads() {
	local before
	before=$(cat /proc/cmdline)
	core
	says 0 '^livepatch_sample is enabled$' load "$SAMPLE"
	expect_file /proc/cmdline "this has been live patched"
	says 0 '^ *livepatch_sample +enabled +1 +no +vmlinux +1 *$' list
	says 0 '^  vmlinux: patched$' status livepatch-sample
	says 0 '^    cmdline_proc_show,1: in effect$' status livepatch_sample
	says 0 '^ +"in_effect": "all",$' status --json
	says 0 '^ +"name": "cmdline_proc_show",$' status --json
	says 0 '^ +"transition": null$' list --json
	says 0 '^livepatch_sample is loaded already, and enabled$' load "$SAMPLE"
	says 0 '^livepatch_sample was enabled already$' enable livepatch_sample
	says 0 '' wait
	says 0 '^livepatch_sample is unloaded$' unload "$SAMPLE"
	expect_file /proc/cmdline "$before"
	! is_loaded livepatch_sample || fail "the module is still there"
	says 1 'there is no patch livepatch_sample: none is loaded' unload livepatch_sample
	says 0 'no livepatch is loaded' list
}
test_case "klp loads a patch, lists it, tells about it and unloads it" loads

stacked() {
	local cmdline=$MODULES/livepatch-cmdline.ko
	core
	says 0 '^livepatch_cmdline is installed for kernel' install --no-lint "$cmdline"
	says 0 '^ *livepatch_cmdline +installed, not loaded ' list
	says 0 '^livepatch_cmdline: installed, not loaded$' status livepatch_cmdline
	says 0 'is enabled' load "$cmdline"
	says 0 '^livepatch_cmdline: enabled, order 1, replace no, installed$' status
	# The file that is installed is the same build.
	says 0 '^  description: Livepatch sample: mark /proc/cmdline$' status livepatch_cmdline
	says 0 '^    cmdline_proc_show,1: in effect$' status livepatch_cmdline
	says 0 'is enabled' load "$SAMPLE"
	says 0 '^    cmdline_proc_show,1: not in effect, overridden by livepatch_sample$' status livepatch_cmdline
	says 0 '^ +"overridden_by": "livepatch_sample"$' list --json
	says 0 '^    cmdline_proc_show,1: in effect$' status livepatch_sample
	says 0 'is unloaded' unload livepatch_sample
	says 0 '^    cmdline_proc_show,1: in effect$' status livepatch_cmdline
	says 0 'is unloaded' unload livepatch_cmdline
	says 0 '^  livepatch_cmdline: enabled$' load --all
	says 0 '^  livepatch_cmdline: enabled already$' load --all
	says 0 '^livepatch_cmdline is loaded already, and enabled$' load livepatch-cmdline
	says 0 '^ +name +livepatch_cmdline$' info livepatch-cmdline
	says 0 'no longer installed' uninstall livepatch_cmdline
	rm -r "/var/lib/livepatch-rs/$(uname -r)"
}
test_case "klp status tells which of two patches is in effect, and klp load --all loads what is installed" stacked

parameters() {
	core
	load klp_test_target
	says 0 'is enabled' load "$SLEEPER" replace=1 release=0
	expect_file /sys/module/$PATCH/parameters/replace Y
	expect_file /sys/module/$PATCH/parameters/release N
	says 0 "^ *$PATCH +enabled +1 +yes +klp_test_target +2 *\$" list
	unique 4242
	says 0 'is unloaded' unload $PATCH
	says 1 "has no parameter 'releese'; it has: .*release" load "$SLEEPER" releese=0
	! is_loaded $PATCH || fail "the module is there"
}
test_case "klp load passes parameters on, and refuses those that the patch does not have" parameters

# other_build FILE TO: the same module as if it were built anew: the first byte of its build ID,
# which follows the name in the note, is another one.
other_build() {
	local offset type=
	while IFS=: read -r offset _; do
		# Before the name is the type of the note.
		type=$(od -A n -t u4 -j $((offset - 4)) -N 4 "$1")
		[ "$type" -ne 3 ] || break
	done < <(LC_ALL=C grep -obUa GNU "$1")
	[ "${type:-0}" -eq 3 ] || fail "$1 has no build ID"
	cp "$1" "$2"
	printf X | dd of="$2" bs=1 seek=$((offset + 4)) conv=notrunc status=none
	! cmp -s "$1" "$2" || fail "the build ID begins with X"
}

upgraded() {
	core
	load klp_test_target
	other_build "$SAMPLE" /tmp/other-build.ko
	says 0 'is enabled' load "$SAMPLE"
	says 1 'another livepatch_sample is loaded \(.*--replace-loaded' load /tmp/other-build.ko
	says 0 '^the livepatch_sample that was loaded is unloaded, to be replaced$' \
		load --replace-loaded /tmp/other-build.ko
	expect_file /proc/cmdline "this has been live patched"
	says 0 '^livepatch_sample is loaded already, and enabled$' load /tmp/other-build.ko
	says 0 "^not in effect any more: livepatch_sample; 'klp prune' removes" load "$SLEEPER" replace=1
	says 0 '^ *livepatch_sample +disabled ' list
	says 0 '^livepatch_sample is removed$' prune
	! is_loaded livepatch_sample || fail "the module is still there"
	says 0 'there is nothing to remove' prune
	says 0 'is unloaded' unload $PATCH
	says 0 'is enabled' load "$SAMPLE"
	says 0 '^livepatch_sample is removed$' load --prune "$SLEEPER" replace=1
	! is_loaded livepatch_sample || fail "the module is still there"
	unique 4242
	says 0 'is enabled' load "$SAMPLE"
	[ "$(klp unload --all)" = "livepatch_sample is unloaded"$'\n'"$PATCH is unloaded" ] ||
		fail "klp unload --all has not unloaded both, the last one first"
	unique 42
}
test_case "klp load knows another build, and klp prune removes what was replaced, klp unload --all the rest" upgraded

compressed_files() {
	local method file to
	core
	for method in gzip xz zstd; do
		file=$(compressed livepatch-sample $method)
		to=/tmp/livepatch-sample.${file#*.}
		cp "$file" "$to"
		says 0 "^ +name +livepatch_sample\$" inspect "$to"
		says 0 '^livepatch_sample is enabled$' load "$to"
		expect_file /proc/cmdline "this has been live patched"
		says 0 'is unloaded' unload "$to"
	done
}
test_case "klp load takes compressed modules, whether the kernel can or not" compressed_files

held() {
	begin_sleep klp_test_sleep_deaf
	says 3 "$(holds klp_test_sleeper)" load --timeout 2 "$SLEEPER"
	says 3 "^It ends by itself .*'klp wait $PATCH' waits for the end\.$" wait --timeout 0
	says 3 "^'klp disable $PATCH' reverses the transition, " wait --timeout 0
	says 0 "^  'klp disable $PATCH' reverses the transition, " status
	says 3 '^ +"state": "enabling",$' wait --timeout 0 --json
	says 3 "the time is up, and the transition goes on: $PATCH: enabling for [0-9]+ s" wait --timeout 1
	says 0 "^ *$PATCH +enabling for [0-9]+ s" list
	says 0 "[0-9]+ cat in klp_test_sleeper\(\) \($NAPS\)\$" status
	says 0 '^ +"function": "klp_test_sleeper",$' status --json
	says 0 '^ +"seconds": [0-9]+,$' status --json
	says 3 "^$PATCH is loaded already, and enabling\$" load --timeout 1 "$SLEEPER"
	says 1 "$PATCH is in transition.*klp status $PATCH" load "$SAMPLE"
	# Those that nobody waits for have switched over.
	unique 4242
	klp wait $PATCH >/tmp/waiting 2>&1 &
	wait_for 30 grep -Eq "$(holds klp_test_sleeper)" /tmp/waiting || fail "klp wait said: $(cat /tmp/waiting)"
	sleep 1
	kill -0 $! || fail "klp wait has not waited"
	echo 1 >"$TARGET/release"
	wait $! || fail "klp wait ended with status $?"
	unique 4242
	says 0 "^ *$PATCH +enabled" list
}
test_case "klp names the task that holds a transition, and its function, and waits" held

taken_back() {
	begin_sleep klp_test_sleep_deaf
	says 3 "the transition is reversed: .*cat in klp_test_sleeper" load --timeout 1 --reverse "$SLEEPER"
	! is_loaded $PATCH || fail "the module is still there"
	[ ! -e "$KLP_SYSFS/$PATCH" ] || fail "the patch is still there"
	sleeping 1 || fail "the task was disturbed"
	unique 42
}
test_case "klp load takes back what takes too long, if asked" taken_back

interrupted() {
	# The kernel itself does something later: the C core after 15 s.
	begin_sleep klp_test_sleep signal_after=60000
	says 3 "$(holds klp_test_sleeper)" load --timeout 3 "$SLEEPER"
	says 0 "" wait --signal --timeout 40 $PATCH
	unique 4242
	expect_no_log "signaling remaining tasks"
}
test_case "klp wait --signal frees a transition from who can be interrupted" interrupted

signalled() {
	begin_sleep klp_test_sleep signal_after=60000
	says 3 "$(holds klp_test_sleeper)" load --timeout 3 "$SLEEPER"
	says 0 "^interrupted: [0-9]+ cat in klp_test_sleeper\(\) \((sleeping.*|running)\)$" signal
	says 0 "" wait --timeout 40 $PATCH
	unique 4242
	says 0 "no livepatch is in transition" signal
	says 1 "$PATCH is not in transition" signal $PATCH
	expect_no_log "signaling remaining tasks"
}
test_case "klp signal frees a transition from who can be interrupted" signalled

# told WHAT ADVICE: of the only task in the way of $ENTER, which no signal reaches.
told() {
	says 0 "^    [0-9]+ klp_[a-z_]+ .*\($1\)\$" status
	says 0 "^  $2" status
	says 1 "^not interrupted: [0-9]+ klp_[a-z_]+ .*\($1\)\$" signal
	says 1 "^$2" signal
	says 0 "^  'klp force [a-z_0-9]+' is the last resort: " status
}

vforked() {
	local child
	core signal_after=60000
	begin_tasks vfork
	load $ENTER kind=vfork
	switched $ENTER
	child=$(pgrep -P "$TASKS_PROCESS")
	told "sleeping uninterruptibly in (wait_for_vfork_done|kernel_clone)\(\), as after vfork, for its child $child klp_[a-z_]+" \
		"After vfork, $TASKS_PROCESS waits until the child executes a program or ends"
	kill -9 "$TASKS_PROCESS"
	says 0 "" wait --timeout 20 $ENTER
	exec {TASKS_INPUT}>&-
	wait "$TASKS_PROCESS" || true
}

traced() {
	core signal_after=60000
	begin_tasks traced
	load $ENTER kind=vfork
	switched $ENTER
	told 'stopped by its tracer' 'A debugger has stopped [0-9]+, and has to let it go on'
	says 0 '^ +"state": "traced",$' status --json
	end_tasks
	says 0 "" wait --timeout 20 $ENTER
}
# What other tasks are in that make a process is not to be patched so on s390.
if [ "$(uname -m)" = x86_64 ]; then
	test_case "klp knows a task that waits for its child of vfork(), which kill -9 ends" vforked
	test_case "klp knows a task that its tracer has stopped" traced
fi

kernel_thread() {
	core signal_after=60000
	load klp_test_naps
	load klp_test_target
	begin_nap thread-deaf
	napping 0 1
	load klp_test_nap_patch_1
	switched klp_test_nap_patch_1
	told 'kernel thread, sleeping uninterruptibly( in [a-z_]+\(\))?' 'No signal of a user reaches [0-9]+: '
	says 0 '^ +"is_kernel_thread": true,$' status --json
	release_naps
	says 0 "" wait --timeout 20
}
test_case "klp knows a thread of the kernel" kernel_thread

control_c() {
	local waiting status=0
	begin_sleep klp_test_sleep_deaf
	says 3 "" load --timeout 0 "$SLEEPER"
	# With job control a shell does not have what is in the background ignore SIGINT.
	set -m
	klp wait >/tmp/interrupted 2>&1 &
	waiting=$!
	set +m
	wait_for 20 grep -q "$PATCH: enabling" /tmp/interrupted || fail "klp wait has said nothing"
	kill -INT $waiting
	wait $waiting || status=$?
	[ $status = 130 ] || fail "klp wait ended with status $status; it said: $(cat /tmp/interrupted)"
	grep -q "^interrupted, and the transition goes on: $PATCH: enabling for " /tmp/interrupted ||
		fail "klp wait said: $(cat /tmp/interrupted)"
	expect_file "$KLP_SYSFS/$PATCH/transition" 1
	echo 1 >"$TARGET/release"
	says 0 "" wait
	unique 4242
}
test_case "Ctrl-C ends the waiting of klp, and not the transition" control_c

unload_held() {
	core
	load klp_test_target
	says 0 'is enabled' load "$SLEEPER" release=0
	cat /proc/klp_test_sleep_deaf >/dev/null &
	wait_for 20 grep -q 1 /sys/module/$PATCH/parameters/sleepers || fail "nobody sleeps"
	# The C core's stacks have the new function's name.
	says 3 "$(holds 'klp_test_sleeper|new_sleeper')" unload --timeout 2 $PATCH
	says 0 "^ *$PATCH +disabling" list
	says 0 "^$PATCH is enabled\$" enable $PATCH
	unique 4242
	says 3 "the transition is reversed" disable --timeout 1 --reverse $PATCH
	expect_file "$KLP_SYSFS/$PATCH/enabled" 1
	says 3 "" disable --timeout 0 $PATCH
	echo 1 >/sys/module/$PATCH/parameters/release
	says 0 "^$PATCH is unloaded\$" unload $PATCH
	unique 42
}
test_case "klp unload says what holds it, and klp enable turns round" unload_held

booted() {
	local late="the transition had not ended after 2 s, and was reversed"
	begin_sleep klp_test_sleep_deaf
	says 0 "^$PATCH is installed for kernel $(uname -r)\$" install --no-lint "$SLEEPER" "$SAMPLE"
	says 1 "^  $PATCH: not loaded: $late\$" boot --timeout 2
	! is_loaded $PATCH || fail "the module is still there"
	expect_file /proc/cmdline "this has been live patched"
	unique 42
	says 0 'is unloaded' unload livepatch_sample
	says 1 "^  livepatch_sample: not loaded, as $PATCH was in transition\$" boot --timeout 1 --no-reverse
	says 0 "^ *$PATCH +enabling" list
	! is_loaded livepatch_sample || fail "the module is there"
	echo 1 >"$TARGET/release"
	says 0 "" wait $PATCH
	says 0 '^  livepatch_sample: enabled$' boot
	unique 4242
	says 0 "^  $PATCH: enabled already\$" boot
	says 0 "^$(uname -r) $PATCH \(running\)\$" installed --all
	says 0 "^$PATCH is no longer installed for kernel" uninstall --all
	says 0 "^no livepatch is installed\$" installed
}
test_case "klp boot reverses what does not end, or leaves it, and tells the state of each patch" booted

disabled() {
	core
	says 0 'is enabled' load "$SAMPLE"
	says 0 '^livepatch_sample is disabled$' disable livepatch_sample
	wait_for 20 test ! -e "$KLP_SYSFS/livepatch_sample" || fail "the patch is still there"
	says 0 '^ *livepatch_sample +disabled ' list
	says 0 'was disabled already' disable livepatch_sample
	says 1 "cannot be enabled again: 'klp unload livepatch_sample'" enable livepatch_sample
	says 1 "klp unload livepatch_sample" load "$SAMPLE"
	says 0 'is unloaded' unload livepatch_sample
	says 0 'is enabled' load "$SAMPLE"
}
test_case "a disabled patch is listed as such, and has to be loaded again" disabled

forced() {
	begin_sleep klp_test_sleep_deaf
	says 3 "" load --timeout 0 "$SLEEPER"
	says 1 "without a terminal to ask on, --yes is needed" force $PATCH
	expect_file "$KLP_SYSFS/$PATCH/transition" 1
	says 0 "tasks in the way would go on in the original functions" force --yes $PATCH
	if [ -z "$PEER" ]; then
		says 0 '^  it was enabled by force: tasks that were in the way may still run' status $PATCH
		says 0 '^ +"was_forced": true,$' status --json
	fi
	expect_file "$KLP_SYSFS/$PATCH/transition" 0
	sleeping 1 || fail "the task was disturbed"
	unique 4242
	says 1 "is not in transition: there is nothing to force" force --yes $PATCH
}
test_case "klp force tells the consequence, wants to be sure, and forces" forced

# refused FILE SENTENCE MESSAGE: neither loaded, nor without the kernel's own words.
refused() {
	says 1 "was not loaded: $2" load --core "$MODULES/livepatch.ko" "$1"
	says 1 "^    $3" load --core "$MODULES/livepatch.ko" "$1"
	[ -z "$PEER" ] || return 0
	says 1 "^livepatch.ko was removed again" load --core "$MODULES/livepatch.ko" "$1"
	! is_loaded livepatch || fail "livepatch.ko has stayed"
}

wrong_kernel() {
	# Not the release: with symbol versions, the kernel does not look at that.
	LC_ALL=C sed 's/\(vermagic=[^ ]* \)SMP/\1XMP/' "$SAMPLE" >/tmp/other.ko
	refused /tmp/other.ko "it was built for another kernel \([^ ]* XMP" "livepatch_sample: version magic '[^ ]* XMP"
	head -c 3000 "$SAMPLE" >/tmp/short.ko
	says 1 "cannot make sense of it" load --core "$MODULES/livepatch.ko" /tmp/short.ko
	# What was logged before is not of this module.
	never_says "version magic" load --core "$MODULES/livepatch.ko" /tmp/short.ko
	says 1 "is no kernel module" load --core "$MODULES/livepatch.ko" /proc/version
	says 1 "does not say that it is a livepatch" load "$MODULES/klp_test_target.ko"
}
test_case "klp load says why a module is refused, with the kernel's own words" wrong_kernel

not_root() {
	local command
	begin_sleep klp_test_sleep_deaf
	says 3 "" load --timeout 0 "$SLEEPER"
	chmod 755 /root
	for command in "load $SAMPLE" "unload $PATCH" "enable $PATCH" "disable $PATCH" "force --yes $PATCH"; do
		# shellcheck disable=SC2086 # words
		nobody_says 1 "^error: klp ${command%% *} needs root" $command
	done
	nobody_says 0 "^ *$PATCH +enabling" list
	nobody_says 0 "what is in the way is not known: .*Permission denied" status
	nobody_says 3 "Permission denied" wait --timeout 0
	expect_file "$KLP_SYSFS/$PATCH/enabled" 1
}
nobody_says() {
	local wanted=$1 regex=$2 status=0 output
	shift 2
	output=$(setpriv --reuid 65534 --clear-groups klp "$@" 2>&1) || status=$?
	[ "$status" = "$wanted" ] || fail "klp $* ended with status $status, not $wanted; it said: $output"
	grep -Eq -- "$regex" <<<"$output" || fail "klp $* has no line with '$regex'; it said: $output"
}
test_case "without root klp lists patches, and says what needs root" not_root

if [ -n "$PEER" ]; then
	mainline() {
		says 0 "^core: mainline's, of Linux $(uname -r)\$" status
		says 0 '^    "kind": "mainline",$' list --json
	}
	test_case "klp knows mainline's core" mainline
else
	in_effect() {
		begin_sleep klp_test_sleep_deaf
		says 3 "" load --timeout 0 "$SLEEPER" release=0
		switched $PATCH
		expect_blockers $PATCH 1 "cat klp_test_sleeper"
		says 3 "$PATCH: enabling for [0-9]+ s, in effect, but for 1 task: [0-9]+ cat in klp_test_sleeper\(\) \($NAPS\)\$" \
			wait --timeout 1 $PATCH
		unique 4242
		says 0 '^  in effect, but for 1 task:$' status $PATCH
		says 0 '^    klp_test_sleeper,1: in effect, but for 1 task$' status $PATCH
		says 0 "^    [0-9]+ cat in klp_test_sleeper\(\) \($NAPS\)\$" status $PATCH
		says 0 '^ +"phase": "switched",$' list --json
		says 0 '^ +"more": 0$' status --json
		echo 1 >"$TARGET/release"
		says 0 "" wait $PATCH
		never_says '"phase"' status --json

		# And the other way.
		cat /proc/klp_test_sleep_deaf >/dev/null &
		wait_for 20 grep -q 1 /sys/module/$PATCH/parameters/sleepers || fail "nobody sleeps"
		says 3 "" disable --timeout 0 $PATCH
		switched $PATCH
		expect_blockers $PATCH 1 "cat (klp_test_sleeper|new_sleeper)"
		says 3 "$PATCH: disabling for [0-9]+ s, out of effect, but for 1 task: [0-9]+ cat in (klp_test_sleeper|new_sleeper)\(\) \($NAPS\)\$" \
			wait --timeout 1 $PATCH
		unique 42
		says 0 '^  out of effect, but for 1 task:$' status $PATCH
		echo 1 >/sys/module/$PATCH/parameters/release
		says 0 "^$PATCH is unloaded\$" unload $PATCH
	}
	test_case "klp says that a patch is in effect, but for a task, and out of effect, but for one" in_effect

	inserts_core() {
		# Whatever is installed here.
		mount -t tmpfs tmpfs "${PLACE%/*}"
		trap 'umount "${PLACE%/*}"' EXIT
		says 0 '^core: none' status
		says 0 '^    "kind": "none",$' list --json
		says 1 "needs livepatch.ko to load livepatches, and there is none.*updates/dkms.*--core" load "$SAMPLE"
		mkdir "$PLACE"
		cp "$MODULES/livepatch.ko" "$PLACE/"
		says 0 "^inserted .*/extra/livepatch.ko\$" load "$SAMPLE"
		rm "$PLACE/livepatch.ko"
		expect_file /proc/cmdline "this has been live patched"
		says 0 '^core: livepatch.ko, version [0-9]' status
		says 0 '^    "kind": "livepatch.ko",$' status --json
		says 0 'is unloaded' unload livepatch_sample
		unload_core
		says 0 "is enabled" load --core "$MODULES/livepatch.ko" "$SAMPLE"
		says 1 "livepatch is no patch.*rmmod" unload livepatch
	}
	test_case "klp load inserts livepatch.ko, from where modprobe looks or as told" inserts_core

	symbol_missing() {
		refused "$MODULES/klp_test_late-symbol-not-found.ko" ".*" "livepatch: .*symbol"
		load_core
		load klp_test_target
		says 1 "livepatch: .*symbol.*not found" load "$MODULES/klp_test_late-symbol-not-found.ko"
	}
	test_case "klp load shows what livepatch.ko says of a module that it refuses" symbol_missing
fi

run_tests
