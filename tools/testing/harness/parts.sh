#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Parts whose results are known, for the report.

. "$(dirname "$0")/../../../scripts/lib.sh"
. "$TOP/tools/testing/parts.sh"
. "$TOP/tools/testing/verdict.sh"

results() {
	echo "ok 1 a result that is good"
	echo "#   # KERNEL BUG: in the guest of a test that was to have one"
	echo "not ok 2 one that is not: 1 < 2"
	echo "# FAIL: for a reason (test-some.sh:7)"
	echo "1 passed, 1 failed"
	return 1
}
counted() { echo "150 passed, 0 failed"; }
broken() { echo "error: nothing is there"; }
function_that_counts() {
	count 0 "a result of a function"
	conclude
}
# The processor's time ends it, however long that takes.
busy() {
	(ulimit -t 2 && while :; do :; done) || true
	echo "1 passed, 0 failed"
}

part harness-results results
part harness-counted counted
part harness-broken broken
part harness-function function_that_counts
part harness-function-again function_that_counts
part harness-busy busy &
part harness-idle eval 'sleep 5; echo "1 passed, 0 failed"'
wait
# shellcheck disable=SC2016 # for the shell that is killed
part harness-killed bash -c 'kill -s SEGV $$'
totals
