#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Livepatches that klp build has made for modules that are not in the kernel's source.
# tools/testing/build.sh makes them.

# shellcheck source=tools/testing/selftests/livepatch/functions.sh disable=SC1091
. "$(dirname "$0")/functions.sh"

# value MODULE VALUE: what the module gives.
value() { expect_file "/sys/module/$1/parameters/value" "$2"; }

loaded() {
	core
	load klp_outside
	value klp_outside 57
	load_patch livepatch-fix-outside
	value klp_outside 1057
	unload_patch livepatch-fix-outside
	value klp_outside 57
	unload klp_outside
}
test_case "a module that is loaded" loaded

later() {
	core
	load_patch livepatch-fix-outside
	load klp_outside
	value klp_outside 1057
	unload klp_outside
	load klp_outside
	value klp_outside 1057
	unload_patch livepatch-fix-outside
	value klp_outside 57
	unload klp_outside
}
test_case "a module that is loaded after the livepatch" later

recorded() {
	core
	load klp_outside
	load_patch livepatch-fix-recorded
	value klp_outside 1057
	unload_patch livepatch-fix-recorded
	value klp_outside 57
	unload klp_outside
}
test_case "a livepatch of a directory in which the module was built" recorded

both() {
	core
	load klp_outside
	load_patch livepatch-fix-both
	load klp_outside_too
	value klp_outside 5057
	value klp_outside_too 5042
	unload_patch livepatch-fix-both
	value klp_outside 57
	value klp_outside_too 42
	unload klp_outside_too
	unload klp_outside
}
test_case "a header of two modules" both

run_tests
