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
