#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest dies in the second of three cases: two results are missing.

# shellcheck source=../../selftests/livepatch/functions.sh
. "$(dirname "$0")/functions.sh"

nothing() { :; }
crash() { echo c >/proc/sysrq-trigger; }

test_case "a case before the crash" nothing
test_case "a crash" crash
test_case "a case after the crash" nothing

run_tests
