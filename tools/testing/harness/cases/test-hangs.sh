#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests: own-vm
#
# The second of two cases never ends.

# shellcheck source=../../selftests/livepatch/functions.sh
. "$(dirname "$0")/functions.sh"

nothing() { :; }
hang() { sleep infinity; }

test_case "a case before the hang" nothing
test_case "a hang" hang

run_tests
