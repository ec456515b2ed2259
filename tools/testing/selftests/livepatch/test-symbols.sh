#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Finding functions and symbols: positions, ambiguity, both dialects.

. "$(dirname "$0")/functions.sh"

# values SHARED1 SHARED2 SHARED3 UNIQUE
values() { expect_file /proc/klp_test_values "shared $1 $2 $3 unique $4"; }

by_position() {
	load_core
	load klp_test_target
	values 1 2 3 42
	local want
	for position in 1 2 3; do
		load_patch klp_test_patch sympos=$position
		want=(1 2 3)
		want[position - 1]=7000
		values "${want[@]}" 42
		[ -d "$KLP_SYSFS/klp_test_patch/klp_test_target/shared_value,$position" ] ||
			fail "the function has no directory"
		unload_patch klp_test_patch
		values 1 2 3 42
	done
}
test_case "each of three functions of one name is patched by its position" by_position

unique_by_0_and_1() {
	load_core
	load klp_test_target
	for position in 0 1; do
		load_patch klp_test_patch function=unique_value sympos=$position
		values 1 2 3 7000
		[ -d "$KLP_SYSFS/klp_test_patch/klp_test_target/unique_value,1" ] ||
			fail "the function has no directory"
		unload_patch klp_test_patch
	done
}
test_case "a unique function is found at position 0 and at position 1" unique_by_0_and_1

too_many() {
	load_core
	load klp_test_target
	load_refused klp_test_patch EINVAL \
		"symbol position 4 for symbol 'shared_value' in object 'klp_test_target' not found" sympos=4
	load_refused klp_test_patch EINVAL \
		"symbol position 2 for symbol 'unique_value' in object 'klp_test_target' not found" \
		function=unique_value sympos=2
	load_refused klp_test_patch EINVAL \
		"symbol position 2 for symbol 'cmdline_proc_show' in object 'vmlinux' not found" \
		object= function=cmdline_proc_show sympos=2
	values 1 2 3 42
}
test_case "a position that is too large is refused" too_many

ambiguous() {
	load_core
	load klp_test_target
	load_refused klp_test_patch EINVAL \
		"unresolvable ambiguity for symbol 'shared_value' in object 'klp_test_target'"
	load_refused klp_test_patch EINVAL \
		"unresolvable ambiguity for symbol 'init_once' in object 'vmlinux'" \
		object= function=init_once
	values 1 2 3 42
}
test_case "an ambiguous name without a position is refused" ambiguous

unknown() {
	load_core
	load klp_test_target
	load_refused klp_test_patch EINVAL "symbol 'no_such_function' not found in symbol table" \
		function=no_such_function
	load_refused klp_test_patch EINVAL "symbol 'no_such_function' not found in symbol table" \
		object= function=no_such_function
	[ -z "$(ls "$KLP_SYSFS")" ] || fail "something is left in $KLP_SYSFS"
}
test_case "a function that is not there is refused" unknown

# init_once of every kernel cache that has one.
static_functions() {
	local in_kallsyms called
	in_kallsyms=$(awk '$3 == "init_once" && NF == 3 { print $1 }' /proc/kallsyms | head -n 8)
	[ "$(wc -l <<<"$in_kallsyms")" -ge 3 ] || fail "this kernel has too few functions named init_once"
	load_core
	load_patch klp_test_positions
	called=$(cat /proc/klp_test_positions)
	expect_eq "the functions that were found" "$(cut -d' ' -f1 <<<"$called")" "$in_kallsyms"
	! grep -v 'called$' <<<"$called" || fail "a function was not called"
}
test_case "static functions of the kernel of one name are called, each by its position" static_functions

# both_dialects FILE: a patch with symbols of its target and of the kernel.
relocated() {
	load_core
	load klp_test_target
	values 1 2 3 42
	load "$1"
	wait_for_transition klp_test_late
	# 42 * 1000 + 3 * 100 + 1 + 1 + 1
	values 1 2 3 42303
	disable_patch klp_test_late
	values 1 2 3 42
	unload klp_test_late
}
mainline() { relocated klp_test_late; }
draft() { relocated klp_test_draft; }
test_case "relocations are applied in mainline's dialect" mainline
test_case "relocations are applied in the dialect of 2016" draft

run_tests
