#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bad input: each of it ends in an errno and a message, and in a kernel that goes
# on as if nothing had been tried.

. "$(dirname "$0")/functions.sh"

# One and the same livepatch.ko gets all of it. Where only some cases are run, each has its own.
begins() {
	load_core
	load klp_test_target
	[ -n "$CASE" ] || accept_modules
}
test_case "livepatch.ko and a target are loaded, and stay for what follows" begins

# refused FILE ERRNO REGEX [ARGUMENT]...: and everything works afterwards.
refused() {
	[ -z "$CASE" ] || begins
	for _ in 1 2; do
		load_refused "$@"
	done
	[ -z "$(ls "$KLP_SYSFS")" ] || fail "something is left in $KLP_SYSFS"
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42"
	load_patch klp_test_late
	expect_file /proc/klp_test_values "shared 1 2 3 unique 42303"
}

# bad DESCRIPTION FILE ERRNO REGEX [ARGUMENT]...
NUMBER=0
bad() {
	local arguments
	NUMBER=$((NUMBER + 1))
	printf -v arguments ' %q' "${@:2}"
	eval "bad_$NUMBER() { refused$arguments; }"
	test_case "$1" "bad_$NUMBER"
}

IN="module 'klp_test_late': section"

bad "no livepatch flag, but klp_enable_patch() is called" klp_test_unmarked EINVAL \
	"module klp_test_noflag is not marked as a livepatch module" function=unique_value
bad "a section name without a target section" klp_test_late-section-without-target EINVAL \
	"section .klp.rela.vmlinux has an incorrectly formatted name"
bad "a section name without an object" klp_test_late-section-without-object EINVAL \
	"$IN .klp.rela..text: the object name is empty"
bad "a section name with an unknown prefix" klp_test_late-section-unknown-prefix EINVAL \
	"$IN .klp.relo.vmlinux.text: unknown prefix"
bad "a livepatch section without its flag" klp_test_late-section-without-flag ENOEXEC \
	"$IN .* is named like a livepatch relocation section"
bad "a livepatch section that has become an ordinary one" klp_test_late-section-of-another-kind ENOEXEC \
	"$IN .klp.relo.vmlinux.text: relocation 0: symbol [0-9]+ is a livepatch symbol, but this is no"
bad "a livepatch section that is not kept in memory" klp_test_late-section-not-allocated EINVAL \
	"$IN .*: not kept in memory: it has no flag SHF_ALLOC"
bad "relocations of the symbol table" klp_test_late-target-symtab EINVAL \
	"$IN .*: the target section is no code or data"
bad "livepatch relocations without the mark" klp_test_late-not-marked ENOEXEC \
	"module 'klp_test_late' has livepatch relocations, but is not marked as a livepatch module"
bad "a relocation whose symbol is not a livepatch symbol" klp_test_late-not-livepatch-symbol EINVAL \
	"is not marked as a livepatch symbol"
bad "a symbol index that is out of range" klp_test_late-symbol-index ENOEXEC \
	"$IN .*: relocation 0: symbol index 16777215 is out of range"
bad "an offset that is out of range" klp_test_late-offset EINVAL \
	"$IN .*: relocation 0: . bytes at offset 0x[0-9a-f]* are outside of the target section"
bad "an offset near the end of the address space" klp_test_late-offset-huge EINVAL \
	"$IN .*: relocation 0: . bytes at offset 0xfffffffffffffffc are outside of the target section"
bad "a mark as livepatch.ko makes it, with a symbol index that is out of range" \
	klp_test_late-marked-as-admitted ENOEXEC \
	"$IN .*: relocation 0: symbol index 16777215 is out of range"
bad "such a mark in a file of no known byte order" klp_test_late-marked-as-admitted-foreign ENOEXEC \
	"not 64-bit, or of an unknown byte order"
bad "a relocation that changes the kernel's record of the module" klp_test_late-record-relocated ENOEXEC \
	"$IN .rela.gnu.linkonce.this_module: the kernel's own record of the module: relocations put more there"
bad "two relocations that write to one place" klp_test_late-place-twice EINVAL \
	"$IN .klp.rela.klp_test_target.text: relocation [01] writes to the place of livepatch relocation [01]"
bad "relocations for two objects that write to one place" klp_test_late-place-of-another-object EINVAL \
	"$IN .klp.rela.*: relocation 0 writes to the place of livepatch relocation 0"
bad "an unknown relocation type" klp_test_late-type EINVAL "$IN .*: relocation 0: unknown type 200"
bad "a symbol that is not found" klp_test_late-symbol-not-found EINVAL \
	"symbol 'saved_command_lime' not found in symbol table"
bad "a symbol name without a position" klp_test_late-symbol-name EINVAL \
	"symbol .klp.sym.vmlinux.saved,x has an incorrectly formatted name"
bad "a symbol name without an object" klp_test_late-symbol-without-object EINVAL \
	"symbol .klp.sym..saved,0 has an incorrectly formatted name"
bad "a module's section that names a vmlinux symbol" klp_test_late-vmlinux-symbol-for-module EINVAL \
	"invalid access to vmlinux symbol 'jiffies' from module-specific livepatch relocation section"
bad "an ambiguous symbol of a target" klp_test_late-target-ambiguous EINVAL \
	"unresolvable ambiguity for symbol 'shared_counter' in object 'klp_test_target'"
bad "a position that a target does not have" klp_test_late-target-position EINVAL \
	"symbol position 4 for symbol 'shared_counter' in object 'klp_test_target' not found"
bad "an ambiguous symbol of the kernel" klp_test_positions-ambiguous EINVAL \
	"unresolvable ambiguity for symbol 'init_once' in object 'vmlinux'"
bad "a position that the kernel does not have" klp_test_positions-position-too-large EINVAL \
	"symbol position 99 for symbol '_printk' in object 'vmlinux' not found"
bad "init data of the kernel" klp_test_late-symbol-freed EINVAL \
	"symbol 'boot_command_line' in object 'vmlinux' is init code or data, which is freed"
bad "relocations for a module that the patch has no object for" klp_test_late-object-not-patched EINVAL \
	"patch 'klp_test_late' is incomplete: it has livepatch relocations for 'klp_test_target', which is none"
# What the kernel's own loader does not look at: most of these it does not survive.
bad "a symbol 0 of a section" klp_test_late-symbol-zero ENOEXEC \
	"$IN .symtab: symbol 0 has section index 0x8e85, but must not be defined"
bad "a section 0 with a name" klp_test_late-section-zero ENOEXEC "section 0 has a name or flags"
bad "a relocation of the kernel's own that is out of range" klp_test_late-kernel-relocation ENOEXEC \
	"$IN .rela.text: relocation 0: . bytes at offset 0x7fffffff0000 are outside of the target section"
bad "a symbol index of the kernel's own relocations" klp_test_late-kernel-relocation-symbol ENOEXEC \
	"$IN .rela.text: relocation 0: symbol index 2147483647 is out of range"
bad "an alignment that is none" klp_test_late-alignment ENOEXEC \
	"$IN .text: its alignment 0x6000000000000000 is no power of two"
bad "a section without contents that is copied" klp_test_late-no-contents ENOEXEC \
	"$IN .text: it has a size, but its type says that it has no contents in the file"
bad "a note in memory that is freed" klp_test_late-freed-note ENOEXEC \
	"$IN .init.text: it is a note, which is read for as long as the module is loaded, in memory that is freed"
bad "a record of the module that says more than its name" klp_test_late-record ENOEXEC \
	"the kernel's own record of the module: it holds more than the name"
bad "a record of the module that is not aligned" klp_test_late-record-alignment ENOEXEC \
	"the kernel's own record of the module: it is not aligned"
bad "a truncated file" klp_test_late-truncated ENOEXEC ''
bad "a file that ends within the ELF header" klp_test_late-truncated-header ENOEXEC ''

PATCH="patch 'klp_test_patch' is incomplete"
bad "a null pointer for a patch" klp_test_patch EINVAL '' fault=null
bad "a patch without a module" klp_test_patch EINVAL "a patch without a module" fault=no-module
bad "a patch without objects" klp_test_patch EINVAL "$PATCH: it has no objects" fault=no-objects
bad "a patch with an empty list of objects" klp_test_patch EINVAL "$PATCH: it has no objects" \
	fault=empty-objects
bad "an object without functions" klp_test_patch EINVAL \
	"$PATCH: object 'klp_test_target' has no functions" fault=no-functions
bad "a function without a name" klp_test_patch EINVAL \
	"$PATCH: a function of object 'klp_test_target' has no name" fault=no-name
bad "a function with an empty name" klp_test_patch EINVAL "$PATCH: '' cannot be a function's name" \
	fault=empty-name
bad "a function without a replacement" klp_test_patch EINVAL \
	"$PATCH: there is nothing to replace function 'unique_value'" function=unique_value fault=no-new
bad "a function that is there twice" klp_test_patch EINVAL \
	"$PATCH: function 'unique_value' of object 'klp_test_target' is there twice" \
	function=unique_value fault=function-twice
bad "an object that is there twice" klp_test_patch EINVAL \
	"$PATCH: object 'klp_test_target' is there twice" function=unique_value fault=object-twice
bad "an object that is called as the kernel itself" klp_test_patch EINVAL \
	"$PATCH: 'vmlinux' cannot be an object's name" object=vmlinux
bad "an object that is called as a file of the patch in sysfs" klp_test_patch EINVAL \
	"$PATCH: 'enabled' cannot be an object's name" object=enabled
bad "an object's name with a slash" klp_test_patch EINVAL \
	"$PATCH: 'a/b' cannot be an object's name" object=a/b
bad "an object's name that is a file's" klp_test_patch EINVAL \
	"$PATCH: no module that is loaded is called 'klp_test_target.ko': write 'klp_test_target'" \
	object=klp_test_target.ko
bad "an object's name with a dash" klp_test_patch EINVAL \
	"$PATCH: no module that is loaded is called 'klp-test-target': write 'klp_test_target'" \
	object=klp-test-target
bad "a function's name with a slash" klp_test_patch EINVAL \
	"$PATCH: 'a/b' cannot be a function's name" function=a/b
bad "a name that is too long for an object" klp_test_patch EINVAL \
	"$PATCH: an object's name is too long" object="$(printf 'x%.0s' {1..60})"
# Only x86_64 does not write over what is there.
if [ "$(uname -m)" = x86_64 ]; then
	bad "a relocation at whose place there is something else" klp_test_late-place-occupied EINVAL \
		"$IN .klp.rela.klp_test_target.text: relocation 0: something else is at its place already"
fi
# The entry of system calls, which is not traced anywhere.
case $(uname -m) in
s390x) entry=__do_syscall ;;
*) entry=do_syscall_64 ;;
esac
bad "a function that ftrace cannot reach" klp_test_patch EINVAL \
	"failed to find location for function '$entry'" object= function=$entry

bad "a function of the kernel's init code" klp_test_patch EINVAL \
	"symbol 'start_kernel' in object 'vmlinux' is init code or data, which is freed" \
	object= function=start_kernel

ends() {
	[ -z "$CASE" ] || begins
	unload klp_test_target
	unload_core
}
test_case "both can be unloaded after all of that" ends

run_tests
