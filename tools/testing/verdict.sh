# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Counted results of a script of tests, which reads this, and ends with `conclude`.

passed=0
failed=0

# count STATUS DESCRIPTION: a result, by the status of what was tried; where it failed, of the
# script's line.
count() {
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) $2"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) $2"
		echo "# at $(place)"
	fi
}

# place: the file and line that a result is of, not of the functions that count it.
place() {
	local frame
	for frame in "${!FUNCNAME[@]}"; do
		case ${FUNCNAME[frame]} in place | count | verdict | result) continue ;; esac
		echo "${BASH_SOURCE[frame]##*/}:${BASH_LINENO[frame - 1]}"
		return
	done
}

# conclude: the line of totals, and its status.
conclude() {
	echo "1..$((passed + failed))"
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# verdict DESCRIPTION COMMAND...: what the command prints is shown where it fails.
verdict() {
	local description=$1 output status
	shift
	# Not in a condition, where a function's failing commands would go on unseen.
	set +e
	output=$(
		set -e
		"$@" 2>&1
	)
	status=$?
	set -e
	count "$status" "$description"
	[ "$status" -eq 0 ] || tail -n 20 <<<"$output" | sed 's/^/# /'
}
