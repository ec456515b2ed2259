#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Livepatches that klp build has made of diffs. tools/testing/build.sh makes them.

# shellcheck source=tools/testing/selftests/livepatch/functions.sh disable=SC1091
. "$(dirname "$0")/functions.sh"

constant() {
	local total
	core
	read -r total </proc/meminfo
	load_patch livepatch-fix-meminfo
	expect_eq "the first line of /proc/meminfo" "$(head -n 1 /proc/meminfo)" "${total/MemTotal/MEMTOTAL}"
	unload_patch livepatch-fix-meminfo
	expect_eq "the first line of /proc/meminfo, again" "$(head -n 1 /proc/meminfo)" "$total"
}
test_case "a changed string" constant

tables() {
	local line
	core
	line=$(</proc/cmdline)
	load_patch livepatch-fix-cmdline
	expect_eq "the first read of /proc/cmdline" "$(</proc/cmdline)" "1 $line"
	expect_eq "the second" "$(</proc/cmdline)" "2 $line"
	expect_log "klp build was here"
	unload_patch livepatch-fix-cmdline
	expect_eq "/proc/cmdline, again" "$(</proc/cmdline)" "$line"
}
test_case "new code with a static variable, and entries in the kernel's tables" tables

two_files() {
	core
	load_patch livepatch-fix-two
	[[ $(</proc/uptime) == 'up '* ]] || fail "/proc/uptime is not patched"
	[[ $(</proc/loadavg) == 'load '* ]] || fail "/proc/loadavg is not patched"
	unload_patch livepatch-fix-two
	[[ $(</proc/uptime) != 'up '* && $(</proc/loadavg) != 'load '* ]] || fail "one is still patched"
}
test_case "a fix of two files" two_files

header() {
	core
	load_patch livepatch-fix-header
	[[ $(</proc/loadavg) == 100[0-9]*.* ]] || fail "/proc/loadavg is not patched: $(</proc/loadavg)"
	unload_patch livepatch-fix-header
	[[ $(</proc/loadavg) != 100[0-9]*.* ]] || fail "/proc/loadavg is still patched"
}
test_case "a fix of a header" header

callbacks() {
	core
	load_patch livepatch-fix-callbacks
	expect_log "klp build: before"
	[[ $(</proc/loadavg) == 'called '* ]] || fail "/proc/loadavg is not patched"
	expect_no_log "klp build: after"
	unload_patch livepatch-fix-callbacks
	expect_log "klp build: after"
}
test_case "a fix with callbacks" callbacks

together() {
	core
	load_patch livepatch-fix-meminfo
	load_patch livepatch-fix-cmdline
	load_patch livepatch-fix-two
	[[ $(head -n 1 /proc/meminfo) == MEMTOTAL* && $(</proc/uptime) == 'up '* ]] || fail "one is not patched"
	unload_patch livepatch-fix-two
	unload_patch livepatch-fix-cmdline
	unload_patch livepatch-fix-meminfo
}
test_case "several at the same time" together

run_tests
