# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Counted results of a script of tests, which reads this.

passed=0
failed=0

# count STATUS DESCRIPTION: a result, by the status of what was tried.
count() {
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) $2"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) $2"
	fi
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
