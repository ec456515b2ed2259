#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Who may do what: no file of livepatch.ko can be written, and nothing secret be read,
# without privilege.

. "$(dirname "$0")/functions.sh"

DEBUGFS=/sys/kernel/debug/livepatch

# files: everything that livepatch.ko and a patch show.
files() {
	find "$KLP_SYSFS" "$DEBUGFS" /sys/module/livepatch/parameters
}

# nobody COMMAND...: as a user without any privilege.
nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"
}

setting() {
	load_core
	load klp_test_target
	load_patch livepatch-cmdline
	load_patch klp_test_late
}

modes() {
	local file mode
	setting
	# find's test is none if there is nothing to test.
	[ "$(files | wc -l)" -gt 20 ] || fail "there are only: $(files)"
	while read -r file; do
		expect_eq "the owner of $file" "$(stat -c %u:%g "$file")" 0:0
		mode=$(stat -c %a "$file")
		[ $((8#$mode & 8#022)) -eq 0 ] || fail "$file can be written by others: mode $mode"
	done < <(files)
	for file in "$KLP_SYSFS"/*/; do
		expect_eq "the mode of enabled" "$(stat -c %a "$file/enabled")" 644
		expect_eq "the mode of transition" "$(stat -c %a "$file/transition")" 444
		expect_eq "the mode of force" "$(stat -c %a "$file/force")" 200
		expect_eq "the mode of replace" "$(stat -c %a "$file/replace")" 444
		expect_eq "the mode of stack_order" "$(stat -c %a "$file/stack_order")" 444
	done
	for file in "$DEBUGFS"/*/blockers; do
		expect_eq "the mode of $file" "$(stat -c %a "$file")" 400
	done
}
test_case "every file is root's, and only root may write it" modes

writing() {
	local file
	setting
	[ "$(nobody id -u)" = 65534 ] || fail "privileges cannot be dropped"
	while read -r file; do
		[ ! -f "$file" ] || ! nobody sh -c 'echo 1 >"$1"' sh "$file" 2>/dev/null ||
			fail "$file was written without privilege"
	done < <(files)
	! nobody cat "$DEBUGFS/livepatch_cmdline/blockers" 2>/dev/null ||
		fail "debugfs can be read without privilege"
	expect_file "$KLP_SYSFS/livepatch_cmdline/enabled" 1
	expect_file "$KLP_SYSFS/klp_test_late/enabled" 1
	expect_no_log "forc"
}
test_case "nothing can be written without privilege" writing

loading() {
	local output
	load_core
	output=$(nobody insmod "$MODULES/livepatch-cmdline.ko" 2>&1) &&
		fail "a livepatch was loaded without privilege"
	grep -q 'Operation not permitted$' <<<"$output" || fail "insmod says: $output"
	! is_loaded livepatch-cmdline || fail "it is loaded"
	load_patch livepatch-cmdline
	! nobody rmmod livepatch 2>/dev/null || fail "livepatch.ko was removed without privilege"
}
test_case "nothing is loaded or unloaded without privilege" loading

# An address has sixteen digits; a kernel's has its first bits set on x86_64 only, but no
# number that is shown here has more than ten.
ADDRESS='(0x)?[0-9a-f]{11,16}'

addresses() {
	local file content
	# All messages, and a task in the way.
	load_core debug=2
	load klp_test_target
	load_patch livepatch-cmdline
	load_patch klp_test_late
	load klp_test_sleeper_patch
	while read -r file; do
		content=$(nobody cat "$file" 2>/dev/null) || continue
		! grep -Eqi "$ADDRESS" <<<"$content" || fail "$file says $content"
	done < <(files | grep -v '/force$')
	unload_patch klp_test_late
	load_refused klp_test_late-offset EINVAL "outside of the target section"
	load_refused klp_test_late-type EINVAL "unknown type"
	load_refused klp_test_positions-ambiguous EINVAL "unresolvable ambiguity"
	! grep -Eqi "^livepatch: .*$ADDRESS" <<<"$(case_log)" ||
		fail "the kernel log has an address: $(grep -Ei "^livepatch: .*$ADDRESS" <<<"$(case_log)")"
	expect_log "^livepatch: "
}
test_case "no address is shown, in files or in the log" addresses

run_tests
