#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Begin a patch of every kind with klp new, write what it asks for, and build it: with and
# without the types of functions, in C and in Rust, of one function and of several. Runs in the
# toolchain tree, for modules.sh.
#
#   new-patches.sh KLP KOBJ OUT SYMVERS VARIANT
#
# In OUT are the patches, in directories of their names. Those that the selftests load replace
# version_proc_show() of the kernel and two functions of klp_test_target.

. "$(dirname "$0")/../../scripts/lib.sh"

KLP=$1 KOBJ=$2 OUT=$3 SYMVERS=$4 VARIANT=$5
TESTS=$TOP/tools/testing/selftests/livepatch
FUNCTIONS=(version_proc_show klp_test_target:unique_value 'klp_test_target:shared_value,2')
read -ra ARGS <<<"$(kmake_args "$VARIANT")"

# author DIRECTORY [ARGUMENT]...
author() { make -C "$1" "${ARGS[@]}" LIVEPATCH="$TOP" KDIR="$KOBJ" KLP="$KLP" LIVEPATCH_SYMVERS="$SYMVERS" "${@:2}" -j"$JOBS"; }

# new NAME [ARGUMENT]...: on a machine whose kernel tells no types.
new() { "$KLP" --root "$OUT/no-machine" new "$@"; }

# write FUNCTION TEXT FILE: what the new function does.
write() {
	TEXT=$2 awk -v line="write new_$1(), then" '
		index($0, line) { print ENVIRON["TEXT"]; found++; next }
		{ print }
		END { exit found != 1 }' "$3" >"$3.new" || die "$3 does not ask for new_$1()"
	mv "$3.new" "$3"
}

# declare_type FUNCTION RESULT PARAMETERS FILE: what is not known, in C.
declare_type() {
	sed -i -e "/^#error .* declare $1() with its type, then/d" \
		-e "s/^void $1(void);/$2 $1($3);/" -e "s/^static void new_$1(void)/static $2 new_$1($3)/" "$4"
}

# include HEADER FILE
include() { sed -i "0,/^#include/s//#include <${1//\//\\/}>\n#include/" "$2"; }

# in_c FILE: the functions in C.
in_c() {
	include linux/seq_file.h "$1"
	write version_proc_show $'\tseq_puts(m, "new in C\\n");\n\treturn 0;' "$1"
	write unique_value $'\treturn 4711;' "$1"
	write shared_value $'\treturn 202;' "$1"
}

# in_rust FILE: the same in Rust.
in_rust() {
	sed -i 's/\<m: [^,]*, v: /m: Option<\&SeqFile>, _v: /' "$1"
	write version_proc_show '    if let Some(m) = m {
        seq_print!(m, "new in Rust\n");
    }
    0' "$1"
	write unique_value '    4712' "$1"
	write shared_value '    203' "$1"
}

# refuses_another_type DIRECTORY: the compiler does, and names the function.
refuses_another_type() {
	local output
	! output=$(author "$1" 2>&1) || die "$1 is built, with another type"
	grep -qF "$2" <<<"$output" || die "$1 is not built for another reason: $output"
}

# What is built with nothing but what it was built with before stays.
INPUTS=("$0" "$KLP" "$SYMVERS" "$KOBJ/vmlinux" "$TESTS"/test_modules{,_types}
	"$TOP/include" "$TOP/rust/authors" "$TOP"/scripts/Makefile.{livepatch,bindgen})
changed_since "$OUT/.done" "${INPUTS[@]}" || exit 0
rm -rf "$OUT"
mkdir -p "$OUT"
cd "$OUT"

# What tells the types: BTF of the kernel, and debug information of the target module.
author "$TESTS/test_modules_types" MO="$OUT/types" modules
pahole --btf_encode_detached="$OUT/types/vmlinux.btf" "$OUT/types/klp_test_version.o"
author "$TESTS/test_modules" MO="$OUT/types/target" obj-m=klp_test_target.o KCFLAGS=-g
OF_KERNEL=(--kernel "$OUT/types/vmlinux.btf")
OF_TARGET=(--module "$OUT/types/target/klp_test_target.ko")

new klp_new_replace --replace
author klp_new_replace
new klp_new_replace_rust --replace --rust
author klp_new_replace_rust

new klp_new_c "${FUNCTIONS[@]}" --replace "${OF_KERNEL[@]}" "${OF_TARGET[@]}"
in_c klp_new_c/klp_new_c.c
author klp_new_c
new klp_new_rust "${FUNCTIONS[@]}" --replace --rust "${OF_KERNEL[@]}" "${OF_TARGET[@]}"
include linux/seq_file.h klp_new_rust/bindings.h
in_rust klp_new_rust/klp_new_rust.rs
author klp_new_rust

# Without types, what is asked for is the types as well.
new klp_new_bare "${FUNCTIONS[@]}"
sed -i "s,^# KLP_TARGETS := .*,KLP_TARGETS := $OUT/types/target/klp_test_target.ko," klp_new_bare/Makefile
declare_type version_proc_show int 'struct seq_file *m, void *v' klp_new_bare/klp_new_bare.c
declare_type unique_value int void klp_new_bare/klp_new_bare.c
declare_type shared_value int void klp_new_bare/klp_new_bare.c
in_c klp_new_bare/klp_new_bare.c
author klp_new_bare
new klp_new_bare_rust version_proc_show --rust
cat >klp_new_bare_rust/bindings.h <<-END
	#include <linux/seq_file.h>
	int version_proc_show(struct seq_file *m, void *v);
END
write version_proc_show '    0' klp_new_bare_rust/klp_new_bare_rust.rs
sed -i -e 's/version_proc_show() =>/version_proc_show(_, _) =>/' \
	-e 's/new_version_proc_show()/new_version_proc_show(_m: Option<\&SeqFile>, _v: *mut c_void) -> c_int/' \
	klp_new_bare_rust/klp_new_bare_rust.rs
author klp_new_bare_rust

# With a header that only the kernel's source has, as authoring.md says.
new klp_new_private version_proc_show "${OF_KERNEL[@]}"
sed -i 's/^# ccflags-y/ccflags-y/' klp_new_private/Makefile
sed -i '/^#include <linux\/module.h>/a \
#include <linux/proc_fs.h>\
#define PROC_ENTRY_PERMANENT (1U << 0)\
#include "fs/proc/internal.h"' klp_new_private/klp_new_private.c
include linux/seq_file.h klp_new_private/klp_new_private.c
# shellcheck disable=SC2016 # it is C
write version_proc_show '	struct proc_dir_entry *entry = PDE(file_inode(m->file));

	seq_printf(m, "%s: permanent %d\n", entry->name, pde_is_permanent(entry));
	return 0;' klp_new_private/klp_new_private.c
author klp_new_private

new klp_new_private_rust version_proc_show --rust "${OF_KERNEL[@]}"
sed -i -e 's/^# ccflags-y/ccflags-y/' \
	-e '/^obj-m/a KLP_BINDINGS := proc_dir_entry proc_ops proc_op proc_write_t' klp_new_private_rust/Makefile
sed -i '/^#include <linux\/types.h>/a \
#include <linux/seq_file.h>\
#include <linux/proc_fs.h>\
#define PROC_ENTRY_PERMANENT (1U << 0)\
#include "fs/proc/internal.h"' klp_new_private_rust/bindings.h
sed -i 's/\<m: [^,]*, v: /m: Option<\&SeqFile>, _v: /' klp_new_private_rust/klp_new_private_rust.rs
write version_proc_show '    if let Some(m) = m {
        seq_print!(m, "an entry has {} bytes\n", size_of::<bindings::proc_dir_entry>());
    }
    0' klp_new_private_rust/klp_new_private_rust.rs
author klp_new_private_rust

# What is written with another type than the declaration has.
new klp_new_wrong version_proc_show "${OF_KERNEL[@]}"
sed -i 's/^static int new_version_proc_show(.*)/static long new_version_proc_show(struct seq_file *m, void *v)/' \
	klp_new_wrong/klp_new_wrong.c
write version_proc_show '	return 0;' klp_new_wrong/klp_new_wrong.c
refuses_another_type klp_new_wrong "new_version_proc_show() does not have the type of version_proc_show()"
new klp_new_wrong_rust klp_test_target:unique_value --rust "${OF_TARGET[@]}"
sed -i 's/-> c_int/-> c_long/' klp_new_wrong_rust/klp_new_wrong_rust.rs
write unique_value '    0' klp_new_wrong_rust/klp_new_wrong_rust.rs
refuses_another_type klp_new_wrong_rust "mismatched types"

touch "$OUT/.done"
