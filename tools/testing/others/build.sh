#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build what others build: livepatches as mainline's klp-build makes them, as kpatch-build
# does, and as somebody does who has the kernel's build system only. For one kernel; in the
# toolchain tree, where others.sh calls it.
#
#   OUT      where the modules go
#   KOBJ     the kernel's build directory; VARIANT: its name; SRC: its source
#   SYMVERS  Module.symvers of livepatch.ko; none for the C core
#   OBJTOOL  objtool with klp, where that exists for $ARCH
#   KLP      the klp command

. "$(dirname "$0")/../../../scripts/lib.sh"

OTHERS=$TOP/tools/testing/others
. "$OTHERS/mainline.sh"

# What authoring.md says that one adds to the kernel's own command, without CONFIG_LIVEPATCH.
HEADERS=()
INCLUDES=()
if [ -n "$SYMVERS" ]; then
	HEADERS=("NOSTDINC_FLAGS=-nostdinc -I$TOP/include" "KBUILD_EXTRA_SYMBOLS=$SYMVERS")
	INCLUDES=("-I$TOP/include")
fi

read -ra ARGS <<<"$(kmake_args "$VARIANT")"

# kbuild DIRECTORY OUT ARGUMENT...: without OUT, beside the sources.
kbuild() {
	local dir=$1 out=$2
	shift 2
	[ -z "$out" ] || mkdir -p "$out"
	make -C "$KOBJ" M="$dir" ${out:+MO="$out"} "${ARGS[@]}" "${HEADERS[@]}" -j"$JOBS" "$@"
}

# has_sections MODULE SECTION...: what is to be tested is in it.
has_sections() {
	local module=$1 section sections
	shift
	sections=$(readelf -SW "$OUT/$module.ko")
	for section; do
		grep -qF " $section " <<<"$sections" || die "$module.ko has no section $section"
	done
}

# damaged MODULE FAULT...: copies that livepatch.ko must refuse, in a directory of their own.
damaged() {
	local module=$1 fault
	shift
	for fault; do
		python3 "$TOP/tools/testing/selftests/livepatch/test_modules/damage.py" "$fault" \
			"$OUT/$module.ko" "$OUT/damaged/$module-$fault.ko"
	done
}

# What klp_others_special.h has entries in.
TABLES=(__jump_table __bug_table __ex_table .altinstructions)

# mainline: objtool klp is for x86_64.
mainline() {
	kernel_objects "$OUT/kernel" fs/exec fs/proc/version fs/proc/uptime
	mainline_livepatch "$OUT/kernel" klp_others_kernel -DKLP_NO_REPLACE
	has_sections klp_others_kernel __klp_relocs.vmlinux .klp.rela.vmlinux..text \
		.klp.rela.vmlinux.__jump_table .klp.rela.vmlinux..static_call_sites
	module_objects "$OUT/fix" "$OTHERS/target" klp_others_target
	# Without the flag it replaces all others, as klp-build's do.
	mainline_livepatch "$OUT/fix" klp_others_fix
	damaged klp_others_fix switched-on renamed-objtool-section
	has_sections klp_others_fix __klp_relocs.klp_others_target \
		.klp.rela.klp_others_target..text "${TABLES[@]}" .static_call_sites
}

# kpatch: the sections of kpatch-build's modules, and livepatch symbols by klp convert.
kpatch() {
	mkdir -p "$OUT/kpatch"
	make -C "$OTHERS/kpatch" "${ARGS[@]}" LIVEPATCH="$TOP" KDIR="$KOBJ" MO="$OUT/kpatch" KLP="$KLP" \
		LIVEPATCH_SYMVERS="$SYMVERS" KLP_TARGETS="$OUT/klp_others_target.ko" -j"$JOBS"
	cp "$OUT/kpatch/klp_others_kpatch.ko" "$OUT/"
	has_sections klp_others_kpatch .kpatch.funcs .kpatch.callbacks.pre_patch \
		.klp.rela.vmlinux.__jump_table .klp.rela.klp_others_target.text "${TABLES[@]}"
}

# alone SOURCES MODULE: by the command of authoring.md, beside its sources.
alone() {
	cp -r "$OTHERS/$1" "$OUT/$1"
	kbuild "$OUT/$1" "" modules
	cp "$OUT/$1/$2.ko" "$OUT/"
}

rm -rf "$OUT"
mkdir -p "$OUT/damaged"
kbuild "$OTHERS/target" "$OUT/target" modules
cp "$OUT/target/klp_others_target.ko" "$OUT/"
[ -z "$OBJTOOL" ] || mainline
kpatch
alone third-party livepatch-hide-load
alone take-back klp_others_take_back
