#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Livepatches that the kernel's build system has made, without klp. tools/testing/others.sh has
# called it.

# shellcheck source=tools/testing/selftests/livepatch/functions.sh disable=SC1091
. "$(dirname "$0")/functions.sh"

is_hidden() {
	local up idle load
	read -r up idle </proc/uptime
	[[ $up == *.00 && $idle == *.00 ]] || fail "/proc/uptime is not patched: $up $idle"
	read -r load _ </proc/loadavg
	[[ $load == *.00 ]] || fail "/proc/loadavg is not patched: $load"
	((${up%.00} < $1 && ${load%.00} < $1)) || fail "$up or $load is $1 or more"
}

third_party() {
	local first again
	core
	load_patch livepatch-hide-load limit=200
	expect_log "livepatch_hide_load: hiding, below 200"
	is_hidden 200
	# To one process it always says the same.
	read -r first </proc/uptime
	read -r again </proc/uptime
	expect_eq "/proc/uptime, read again" "$again" "$first"
	echo 10 >/sys/module/livepatch_hide_load/parameters/limit
	is_hidden 10
	unload_patch livepatch-hide-load
	expect_log "livepatch_hide_load: not hiding any more"
	[[ $(</proc/loadavg) != *' 1/1 '* ]] || fail "/proc/loadavg is still patched"
	load_refused livepatch-hide-load EINVAL '' limit=0
}
test_case "a patch that knows nothing of livepatch-rs is built by the command of authoring.md" third_party

takes_all_back() {
	core
	load_patch livepatch-hide-load
	load_patch klp_others_take_back
	wait_for 20 test ! -e "$KLP_SYSFS/livepatch_hide_load" || fail "the first patch was not replaced"
	unload livepatch-hide-load
	expect_no_log "is incomplete"
	[[ $(</proc/loadavg) != *' 1/1 '* ]] || fail "/proc/loadavg is still patched"
	expect_file "$KLP_SYSFS/klp_others_take_back/replace" 1
	expect_file "$KLP_SYSFS/klp_others_take_back/enabled" 1
	# Others can come after it.
	load_patch livepatch-hide-load
	is_hidden 1000
	unload_patch livepatch-hide-load
	unload_patch klp_others_take_back
}
test_case "a patch that replaces all others, and has no objects, takes them back" takes_all_back

nothing_to_take_back() {
	core
	load_patch klp_others_take_back
	expect_file "$KLP_SYSFS/klp_others_take_back/enabled" 1
	unload_patch klp_others_take_back
}
test_case "so does one that there is nothing to take back for" nothing_to_take_back

run_tests
