#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Cases whose verdict is known, on patches that exist as files alone.

export CLEANUP_TIMEOUT=5 TRANSITION_TIMEOUT=8 KLP_SYSFS=/tmp/livepatch
# shellcheck source=../../selftests/livepatch/functions.sh
. "$(dirname "$0")/functions.sh"

# patch NAME ENABLED TRANSITION
patch() {
	rm -rf "${KLP_SYSFS:?}/$1"
	mkdir -p "$KLP_SYSFS/$1"
	echo "$2" >"$KLP_SYSFS/$1/enabled"
	echo "$3" >"$KLP_SYSFS/$1/transition"
}

# Where what is no more, and what is not yet, can stand: the kernel changes either at once, and so
# it is done here, by renaming.
ASIDE=$(mktemp -d)

# end_soon NAME ENABLED: once that was asked for, the transition ends, and the patch goes if it is
# disabled.
end_soon() {
	until grep -q "$2" "$KLP_SYSFS/$1/enabled"; do sleep 0.1; done
	sleep 0.5
	if [ "$2" = 0 ]; then
		mv "$KLP_SYSFS/$1" "$ASIDE/$BASHPID"
	else
		echo 0 >"$ASIDE/transition"
		mv "$ASIDE/transition" "$KLP_SYSFS/$1/transition"
	fi
}

disables() {
	patch first_patch 1 1
	end_soon first_patch 0 &
	disable_patch first-patch
	[ ! -e "$KLP_SYSFS/first_patch" ]
}
test_case "PASS a patch that is disabled" disables

reverses() {
	patch first_patch 0 1
	end_soon first_patch 1 &
	enable_patch first-patch
	expect_file "$KLP_SYSFS/first_patch/transition" 0
}
test_case "PASS a patch that is enabled, then left for the harness to disable" reverses

is_disabled() { expect_file "$KLP_SYSFS/first_patch/enabled" 0; }
test_case "PASS the patch is disabled" is_disabled

endless() {
	patch first_patch 1 1
	enable_patch first_patch
}
test_case "FAIL a transition that does not end" endless

removes() { rm -r "$KLP_SYSFS/first_patch"; }
test_case "PASS the patch of the case before is nothing to this one" removes

leaves() { patch second_patch 1 1; }
test_case "FAIL a patch that is left in transition" leaves

nothing() { :; }
test_case "PASS a case after it" nothing

run_tests
