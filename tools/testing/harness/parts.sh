#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Parts whose results are known, for the report.

. "$(dirname "$0")/../../../scripts/lib.sh"
. "$TOP/tools/testing/parts.sh"
. "$TOP/tools/testing/verdict.sh"

results() {
	echo "ok 1 a result that is good"
	echo "#   # KERNEL BUG: in a guest that was to have one"
	echo "#   # thread 'main' panicked in a guest, panicked at b.rs:3:4:"
	echo "not ok 2 one that is not: 1 < 2"
	echo "# FAIL: for a reason (test-some.sh:7)"
	echo "1 passed, 1 failed"
	return 1
}
counted() { echo "150 passed, 0 failed"; }
broken() { echo "error: nothing is there"; }
fails() {
	printf '%s\n' "# KERNEL BUG: BUG: of a test" "# thread 'main' panicked at a.rs:1:2:" \
		"# selftests: a.sh: it printed no plan" "test a::b ... FAILED" "TEST: a ... not ok" \
		"WRONG: a result" "mutant 7: it was loaded"
	return 1
}
silent() {
	printf '%s of three lines\n' first second third
	return 1
}
many() {
	seq -f 'FAIL number %g' 25
	return 1
}
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
part harness-fails fails
part harness-silent silent
part harness-many many
record harness-unfinished 0 1 0
part harness-function function_that_counts
part harness-function-again function_that_counts
part harness-busy busy &
part harness-idle eval 'sleep 5; echo "1 passed, 0 failed"'
wait
# shellcheck disable=SC2016 # for the shell that is killed
part harness-killed bash -c 'kill -s SEGV $$'
totals
