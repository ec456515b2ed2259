#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In a condition, bash ignores the failures that the harness relies on.

# shellcheck source=../../selftests/livepatch/functions.sh
. "$(dirname "$0")/functions.sh"

failure() {
	false
	true
}
test_case "a failure that bash would ignore" failure

run_tests || exit 1
