#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: own-vm
# selftests: smp
#
# Forcing while there are exceptions. Patch modules that may be in use then stay for good, and
# livepatch.ko with them: hence a guest of its own.

. "$(dirname "$0")/functions.sh"

begin() {
	is_loaded livepatch || core
	load klp_test_naps
	load klp_test_target
}

both_run() {
	everybody_runs "$1"
	case $1 in
	0) unique 42 ;;
	*) unique $((500 + $1)) ;;
	esac
}

# force PATCH: nothing is waited for.
force() {
	echo 1 >"$KLP_SYSFS/$1/force"
	[ -n "$PEER" ] || ! in_transition "$1" || fail "the transition of $1 goes on"
	wait_for_transition "$1"
	expect_log "forcing remaining tasks to the patched state"
}

# end: the tasks that nap go. Those that were forced have run one version and then another.
end() {
	release_naps
	wait_for 30 naps_are napping "$1" 0 || fail "there are naps: $(</proc/klp_test_naps)"
	wait_for 30 naps_are mixed 0 "$2" || fail "not $2 naps have been forced: $(</proc/klp_test_naps)"
}

# klp_says STATUS REGEX ARGUMENT...: klp ends so, and says that.
klp_says() {
	local status=0 output
	output=$(klp "${@:3}" 2>&1) || status=$?
	expect_eq "the status of klp ${*:3}, which said '$output'" "$status" "$1"
	grep -Eq -- "$2" <<<"$output" || fail "klp ${*:3} has no line with '$2'; it said: $output"
}

# klp_says_at_once STATUS REGEX ARGUMENT...: and klp does not wait until its patience ends.
klp_says_at_once() {
	local begun=$SECONDS
	klp_says "$@"
	((SECONDS - begun < 10)) || fail "klp ${*:3} took $((SECONDS - begun)) s to say that nothing can be done"
}

# is_kept MODULE: livepatch.ko tells that it is for good, so that klp says so at once.
is_kept() {
	grep -qx "$1" /sys/kernel/debug/livepatch/kept-modules ||
		fail "$1 is not among the modules that are kept: $(</sys/kernel/debug/livepatch/kept-modules)"
	klp_says 0 '^  tasks were forced out of it .* keeps its module until the next boot; ' status "$1"
	klp_says 0 "^$1: disabled, kept until boot" status "$1"
	klp_says 0 "^ *$1 +disabled, kept until boot" list
	klp_says 0 '^ +"is_kept_until_boot": true,$' status --json "$1"
	klp_says_at_once 1 "^error: $1 is disabled, but its module cannot be removed: tasks were forced out of it" \
		unload "$1"
	klp_says_at_once 1 "^error: $1 is disabled, .*: tasks were forced out of it" enable "$1"
	klp_says_at_once 1 "^error: $1 is loaded already, and disabled: tasks were forced out of it" \
		load --replace-loaded "$MODULES/$1.ko"
	klp_says_at_once 0 "^$1 stays: tasks were forced out of it" unload --all
	klp_says_at_once 0 "^$1 stays: tasks were forced out of it" prune
}

# stays MODULE: klp says that, and it is not counted as left behind.
stays() {
	unload klp_test_naps
	unload klp_test_target
	if [ -n "$PEER" ]; then
		# It does not tell for how long.
		klp_says 0 '^  the kernel keeps its module: .* until the next boot if its transition was forced$' status "$1"
		klp_says 0 '^ +"is_kept": true,$' status --json "$1"
		klp_says 1 "^error: $1 is disabled, but its module cannot be removed: there is a reference to it. If 'klp force'" \
			unload "$1"
	else
		is_kept "$1"
	fi
	for _ in 1 2 3; do
		sleep 1
		unload_refused "$1"
	done
	accept_modules
}

enabling() {
	begin
	nap deaf
	napping 0 1
	load klp_test_nap_patch_1
	switched klp_test_nap_patch_1
	both_run 1
	force klp_test_nap_patch_1
	both_run 1
	napping 0 1
	end 0 1
	# All that can be in use is the kernel's, or the target's.
	unload_patch klp_test_nap_patch_1
	both_run 0
}
test_case "a transition with exceptions is forced" enabling

reversed() {
	begin
	nap deaf
	napping 0 1
	load klp_test_nap_patch_2
	switched klp_test_nap_patch_2
	nap deaf
	napping 2 1
	for _ in 1 2 3; do
		set_patch klp_test_nap_patch_2 0
		switched klp_test_nap_patch_2
		both_run 0
		set_patch klp_test_nap_patch_2 1
		switched klp_test_nap_patch_2
		both_run 2
	done
	force klp_test_nap_patch_2
	both_run 2
	# The one in the old function has come to new ones, the other one not.
	end 0 1
	wait_for 30 naps_are napped 2 1 || fail "the other nap has not ended as it began: $(</proc/klp_test_naps)"
	unload_patch klp_test_nap_patch_2
}
test_case "a transition that was reversed several times is forced" reversed

disabling() {
	begin
	load_patch klp_test_nap_patch_3
	nap deaf
	napping 3 1
	set_patch klp_test_nap_patch_3 0
	switched klp_test_nap_patch_3
	both_run 0
	force klp_test_nap_patch_3
	both_run 0
	napping 3 1
	end 3 1
	stays klp_test_nap_patch_3
}
test_case "unpatching is forced, and the module stays" disabling

replacing() {
	begin
	load_patch klp_test_nap_patch_1
	nap deaf
	napping 1 1
	load klp_test_nap_patch_2 replace=1
	switched klp_test_nap_patch_2
	both_run 2
	klp_says 0 '^The kernel would keep these modules.* under their names: klp_test_nap_patch_1$' \
		force --yes klp_test_nap_patch_2
	expect_log "forcing remaining tasks to the patched state"
	both_run 2
	napping 1 1
	end 1 1
	wait_for 30 test ! -e "$KLP_SYSFS/klp_test_nap_patch_1" || fail "the replaced patch is still there"
	unload_patch klp_test_nap_patch_2
	both_run 0
	stays klp_test_nap_patch_1
}
test_case "a replacement is forced, and the module that was replaced stays" replacing

# refused PATCH COUNT: tasks are not forced out of it, which the log has said COUNT times by then.
refused() {
	! (echo 1 >"$KLP_SYSFS/$1/force") 2>/dev/null ||
		fail "tasks were forced out of a patch whose module is about to be freed"
	expect_eq "how often that was logged" "$(case_log | grep -c "tasks cannot be forced out of patch '$1'")" "$2"
	in_transition "$1" || fail "the transition has ended"
}

# The kernel frees a module whose init function fails, whoever runs its code.
failing() {
	local insmod
	begin
	insmod "$MODULES/klp_test_nap_patch_2.ko" slow_init=1 fail_init=1 2>/dev/null &
	insmod=$!
	wait_for 20 reads "$KLP_SYSFS/klp_test_nap_patch_2/enabled" 1 || fail "the patch is not enabled"
	wait_for_transition klp_test_nap_patch_2
	nap deaf
	napping 2 1
	set_patch klp_test_nap_patch_2 0
	switched klp_test_nap_patch_2
	has_state klp_test_nap_patch_2 Loading ||
		fail "the init function has ended already: $(grep '^klp_test_nap_patch_2 ' /proc/modules)"
	refused klp_test_nap_patch_2 1
	be_quick klp_test_nap_patch_2 init
	wait_for 60 has_state klp_test_nap_patch_2 Unloading || fail "the init function has not failed"
	refused klp_test_nap_patch_2 2
	sleep 2
	refused klp_test_nap_patch_2 3
	! grep klp_test_nap_patch_2 /sys/kernel/debug/livepatch/kept-modules || fail "it is among those that are kept"
	release_naps
	! wait $insmod || fail "insmod did not fail"
	wait_for 30 test ! -e "$KLP_SYSFS/klp_test_nap_patch_2" || fail "the patch is still there"
	! is_loaded klp_test_nap_patch_2 || fail "its module is still there"
	both_run 0
}
[ -n "$PEER" ] || test_case "no task is forced out of a patch whose module fails" failing

run_tests
