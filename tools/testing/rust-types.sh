#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the compiler has to refuse in a patch in Rust: each of these would be unsound,
# and says `unsafe` nowhere. Beside them, what it must take.
#
# Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

VARIANT=${VARIANT:-plain}

# patch NAME FUNCTIONS REPLACEMENT [CALLBACK]: a patch for the function that shows
# /proc/cmdline.
patch() {
	cat >"$WORK/src/$1.rs" <<-END
		// SPDX-License-Identifier: GPL-2.0

		//! Written by tools/testing/rust-types.sh.

		use livepatch::prelude::*;

		livepatch::bindings!();

		livepatch! {
		    name: "$1",
		    license: "GPL",
		    objects: [
		        vmlinux {
		            functions: [$2],
		            ${4:-}
		        },
		    ],
		}

		$3
	END
	PATCHES+=("$1")
}

# accepted NAME FUNCTIONS REPLACEMENT
accepted() { patch "$@" && EXPECTED[$1]=; }

# refused NAME REGEX FUNCTIONS REPLACEMENT [CALLBACK]: an error of the compiler has this.
refused() { patch "$1" "${@:3}" && EXPECTED[$1]=$2; }

# show PARAMETER: a replacement that uses nothing.
show() { echo "extern \"C\" fn show(_: $1, _: *mut c_void) -> c_int { 0 }"; }

check() {
	declare -A EXPECTED=()
	PATCHES=()
	local old='cmdline_proc_show(_, _) => show' args name log
	rm -rf "$WORK"
	mkdir -p "$WORK/src" "$WORK/out"
	cat >"$WORK/src/bindings.h" <<-END
		/* SPDX-License-Identifier: GPL-2.0 */
		#include <linux/seq_file.h>

		int cmdline_proc_show(struct seq_file *file, void *unused);
	END

	accepted pointer "$old" "$(show '*mut kernel::bindings::seq_file')"
	accepted may_be_null "$old" "$(show 'Option<&SeqFile>')"
	accepted promised "
		// SAFETY: It is called with the file that is read.
		unsafe $old" "$(show '&SeqFile')"
	accepted promised_opaque "
		// SAFETY: It is called with the file that is read.
		unsafe $old" "$(show '&Opaque<kernel::bindings::seq_file>')"

	refused null '`&.*SeqFile: Parameter<' "$old" "$(show '&SeqFile')"
	refused opaque '`Option<&Opaque<.*seq_file>>: Parameter<' "$old" \
		"$(show 'Option<&Opaque<kernel::bindings::seq_file>>')"
	refused kept 'lifetime may not live long enough|mismatched types' "$old" \
		"$(show "Option<&'static SeqFile>")"
	refused kept_promised 'lifetime may not live long enough|mismatched types' "
		// SAFETY: It is called with the file that is read.
		unsafe $old" "$(show "&'static SeqFile")"
	refused exclusive '`&mut .*SeqFile: Parameter<' "
		// SAFETY: It is called with the file that is read.
		unsafe $old" "$(show '&mut SeqFile')"
	refused other_type 'mismatched types' "$old" "$(show '*mut kernel::bindings::inode')"
	refused other_number 'mismatched types|takes 2 arguments' "$old" \
		'extern "C" fn show(_: *mut kernel::bindings::seq_file) -> c_int { 0 }'
	refused enabled_again 'requires unsafe' "$old" \
		"$(show 'Option<&SeqFile>') fn again() { let _ = LIVEPATCH.enable(); }" 'post_patch: |_| again(),'
	refused callback 'requires unsafe' "$old" "$(show 'Option<&SeqFile>')" \
		'post_patch: { let _ = *core::ptr::null::<u8>(); |_| () },'

	{
		echo "obj-m := $(printf '%s.o ' "${PATCHES[@]}")"
		# shellcheck disable=SC2016 # for make
		echo 'include $(LIVEPATCH)/scripts/Makefile.livepatch'
	} >"$WORK/src/Makefile"
	read -ra args <<<"$(kmake_args "$VARIANT")"
	for name in "${PATCHES[@]}"; do
		log=$WORK/$name.log
		# One after the other, so that each has its own messages.
		if make -C "$KOBJ" M="$WORK/src" MO="$WORK/out" "${args[@]}" LIVEPATCH="$TOP" \
			LIVEPATCH_SYMVERS="$OUT/Module.symvers" "$name.o" >"$log" 2>&1; then
			if [ -z "${EXPECTED[$name]}" ]; then
				count 0 "$name is compiled"
			else
				count 1 "$name is compiled, but is unsound"
			fi
		elif [ -n "${EXPECTED[$name]}" ] && grep -Eq -- "^error.*(${EXPECTED[$name]})" "$log"; then
			count 0 "$name is refused: $(grep -m 1 '^error' "$log")"
		else
			count 1 "$name: ${EXPECTED[$name]:-no error} was expected:"
			grep -E -A 12 '^error' "$log" | head -n 40 | sed 's/^/# /'
		fi
	done
	conclude
}

if [ "${1:-}" = --check ]; then
	check
	exit
fi

OUT=$("$TOP/scripts/modules.sh" "$VARIANT")
KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
exec "$TOP/scripts/enter" env VARIANT="$VARIANT" OUT="$OUT" WORK="$OUT/rust-types" KOBJ="$KOBJ" "$0" --check
