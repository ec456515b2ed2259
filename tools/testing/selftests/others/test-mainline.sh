#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Livepatches that mainline's own tools have made: objtool klp and scripts/livepatch/init.c of
# the kernel source. tools/testing/others.sh makes the modules.

# shellcheck source=tools/testing/selftests/livepatch/functions.sh disable=SC1091
. "$(dirname "$0")/functions.sh"

PATCH=klp_others_fix
SYSFS=$KLP_SYSFS/$PATCH/klp_others_target

kernel_files() {
	local version idle
	version=$(</proc/version)
	core
	load_patch klp_others_kernel
	expect_log "klp_others: pre_patch vmlinux"
	expect_file "$KLP_SYSFS/klp_others_kernel/replace" 0
	expect_file /proc/version "patched: $version"
	read -r _ idle </proc/uptime
	[ "${idle%.*}" -ge 1000 ] || fail "/proc/uptime says $idle s idle, which is not what was patched"
	# Whether the tracepoint is on is a jump label, what it calls is a static call.
	trace_some sched/sched_process_exec cat /dev/null
	traced ' sched_process_exec: filename=.*/cat .* old_pid=1[0-9]{5}$'
	unload_patch klp_others_kernel
	expect_log "klp_others: post_unpatch vmlinux"
	expect_file /proc/version "$version"
	trace_some sched/sched_process_exec cat /dev/null
	traced ' sched_process_exec: filename=.*/cat .* old_pid=[0-9]{1,5}$'
}
test_case "a livepatch that was made of three of the kernel's own files" kernel_files

target_is_there() {
	core
	load klp_others_target
	others 11 12 original
	load_patch $PATCH
	expect_file "$SYSFS/patched" 1
	# The second of two functions of that name; it counts in the second of two variables.
	[ -d "$SYSFS/value,2" ] || fail "it is not value,2 that is patched"
	others 21 2020 patched
	others 31 2030 patched
	disable_patch $PATCH
	others 41 42 original
	unload $PATCH
	expect_callbacks pre_patch post_patch pre_unpatch post_unpatch
}
test_case "a livepatch for a module, with all that the kernel reads of modules" target_is_there

target_comes_and_goes() {
	core
	load_patch $PATCH
	expect_no_log "klp_others: pre_patch"
	for _ in 1 2; do
		load klp_others_target
		others 11 2010 patched
		others 21 2020 patched
		unload klp_others_target
	done
	expect_callbacks pre_patch post_patch pre_unpatch post_unpatch
	expect_file "$SYSFS/patched" 0
	unload_patch $PATCH
	load klp_others_target
	others 11 12 original
}
test_case "its target comes after it, goes, and comes again" target_comes_and_goes

warns() {
	core
	load klp_others_target warn=1
	others 11 12 "original, warned"
	load_patch $PATCH
	expect_no_log "WARNING:"
	expect_warning "WARNING: .*klp_others_special"
	others 21 2020 patched
	others 31 2030 patched
	unload_patch $PATCH
}
test_case "a new function warns, once" warns

replaces() {
	core
	load klp_others_target
	load_patch klp_others_kernel
	load_patch $PATCH
	expect_file "$KLP_SYSFS/$PATCH/replace" 1
	wait_for 20 test ! -e "$KLP_SYSFS/klp_others_kernel" || fail "klp_others_kernel was not replaced"
	unload klp_others_kernel
	[[ $(</proc/version) != patched:* ]] || fail "/proc/version is still patched"
	others 11 2010 patched
	unload_patch $PATCH
	others 21 22 original
}
test_case "what klp-build makes replaces all others, if it is not told otherwise" replaces

# The C core takes the kernel's loader at its word.
if [ -z "$PEER" ]; then
	damaged() {
		local is="is a livepatch symbol, but this is no livepatch relocation section"
		core
		load_refused $PATCH-switched-on ENOEXEC "$PATCH': section .rela.text: relocation [0-9]+: symbol [0-9]+ $is"
		load_refused $PATCH-renamed-objtool-section ENOEXEC "$PATCH': section .rela._klp_relocs.*: relocation [0-9]+: symbol [0-9]+ $is"
		load_patch $PATCH
		unload_patch $PATCH
	}
	test_case "what would be applied with the address 0, and used, is refused" damaged
fi

run_tests
