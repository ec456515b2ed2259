#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build what the selftests and the demo load, for one kernel: livepatch.ko, the
# samples, the test modules and damaged copies of them, and patches that klp new
# began. Prints the directories that hold them, separated by colons.
#
#   modules.sh [VARIANT]
#
# For a kernel that was built elsewhere (tools/testing/buildroot), with OUT, where livepatch.ko
# and its Module.symvers are, KOBJ, SRC, KLP and GUEST_KLP in the environment, and ARCH,
# LIVEPATCH_CROSS and VARIANT where they are not the usual ones:
#
#   modules.sh --build
#   modules.sh --directories     OUT is enough

. "$(dirname "$0")/../../scripts/lib.sh"

VARIANT=${VARIANT:-plain}
[[ $# -eq 0 || $1 == --* ]] || VARIANT=$1
TESTS=$TOP/tools/testing/selftests/livepatch/test_modules

# author DIRECTORY OUT [ARGUMENT]...: what a patch author does.
author() {
	local args dir=$1 out=$2
	shift 2
	read -ra args <<<"$(kmake_args "$VARIANT")"
	mkdir -p "$out"
	make -C "$dir" "${args[@]}" LIVEPATCH="$TOP" KDIR="$KOBJ" MO="$out" KLP="$KLP" \
		LIVEPATCH_SYMVERS="$OUT/Module.symvers" "$@" -j"$JOBS"
}

# kernel_samples: samples/livepatch of the kernel source, as it is.
kernel_samples() {
	local args flags=("NOSTDINC_FLAGS=-nostdinc -I$TOP/include")
	[ "$VARIANT" != peer ] || flags=()
	read -ra args <<<"$(kmake_args "$VARIANT")"
	mkdir -p "$OUT/kernel-samples"
	make -C "$KOBJ" M="$SRC/samples/livepatch" MO="$OUT/kernel-samples" "${args[@]}" \
		CONFIG_SAMPLE_LIVEPATCH=m "${flags[@]}" \
		KBUILD_EXTRA_SYMBOLS="$OUT/Module.symvers" -j"$JOBS" modules
}

# compressed FILE NAME: NAME-METHOD.ko.SUFFIX for each method that a kernel may know. It is
# one of them, /sys/module/compression; kmod knows all.
compressed() {
	gzip -9nc "$1" >"$2-gzip.ko.gz"
	xz -9 --check=crc32 -c "$1" >"$2-xz.ko.xz"
	zstd -q -f "$1" -o "$2-zstd.ko.zst"
}

# damaged FILE FAULT...: FILE-FAULT.ko in the directory of new damaged modules.
damaged() {
	local file=$1 fault
	shift
	for fault; do
		python3 "$TESTS/damage.py" "$fault" "$OUT/selftests/$file.ko" "$OUT/damaged.new/$file-$fault.ko"
	done
}

# programs: those that the selftests run.
programs() {
	local program
	mkdir -p "$OUT/overlay/usr/bin"
	for program in klp_finit klp_fail_nth klp_tasks klp_readers; do
		"$(cross)gcc" -static -pthread -O2 -Wall -o "$OUT/overlay/usr/bin/$program" "$TESTS/../$program.c"
	done
	cp "$GUEST_KLP" "$OUT/overlay/usr/bin/klp"
}

# build_peer: what can be loaded without livepatch.ko. Structures are those of the
# kernel's own header.
build_peer() {
	author "$TESTS" "$OUT/selftests" \
		KLP_TARGETS="klp_test_target.ko klp_test_naps.ko klp_test_consistency.ko klp_test_far.ko" \
		obj-m="klp_test_target.o klp_test_patch.o klp_test_sleeper_patch.o klp_test_naps.o \
			klp_test_nap_patch_1.o klp_test_nap_patch_2.o klp_test_nap_patch_3.o klp_test_enter_patch.o \
			klp_test_consistency.o klp_test_far.o klp_test_consistency_1.o klp_test_consistency_2.o \
			$([ "$ARCH" != x86_64 ] || echo klp_test_int3.o)"
	author "$TOP/samples/cmdline" "$OUT/samples/cmdline"
	kernel_samples
	compressed "$OUT/kernel-samples/livepatch-sample.ko" "$OUT/selftests/livepatch-sample"
	programs
}

build() {
	local sample
	for sample in cmdline meminfo module-target rust/cmdline rust/meminfo; do
		author "$TOP/samples/$sample" "$OUT/samples/$sample"
	done
	author "$TESTS" "$OUT/selftests"
	author "${TESTS}_rust" "$OUT/selftests-rust" KLP_TARGETS="$OUT/selftests/klp_test_target.ko"
	kernel_samples
	programs
	"$TOP/tools/testing/new-patches.sh" "$KLP" "$KOBJ" "$OUT/new" "$OUT/Module.symvers" "$VARIANT"
	cp "$OUT"/new/klp_new_*/klp_new_*.ko "$OUT/new"

	# What kbuild has linked: klp convert marks whatever uses the API as a livepatch.
	cp "$OUT/selftests/.klp_test_noflag.kbuild.ko" "$OUT/selftests/klp_test_unmarked.ko"

	# The same patch in the dialect of 2016, from what kbuild has linked.
	"$KLP" convert --dialect draft --kernel "$KOBJ/System.map" --symvers "$KOBJ/Module.symvers" \
		--symvers "$OUT/Module.symvers" --module "$OUT/selftests/klp_test_target.ko" \
		-o "$OUT/selftests/klp_test_draft.ko" "$OUT/selftests/.klp_test_late.kbuild.ko"
	local file
	for file in selftests/klp_test_plain samples/cmdline/livepatch-cmdline kernel-samples/livepatch-sample; do
		compressed "$OUT/$file.ko" "$OUT/selftests/${file##*/}"
	done

	rm -rf "$OUT/damaged.new"
	mkdir -p "$OUT/damaged.new"
	damaged klp_test_late section-without-target section-without-object \
		section-unknown-prefix section-without-flag section-of-another-kind section-not-allocated \
		target-symtab not-marked not-livepatch-symbol symbol-index \
		marked-as-admitted marked-as-admitted-foreign record-relocated place-twice place-of-another-object \
		offset offset-huge type symbol-not-found symbol-name symbol-without-object \
		symbol-zero section-zero kernel-relocation kernel-relocation-symbol alignment no-contents record \
		record-alignment freed-note \
		vmlinux-symbol-for-module target-ambiguous target-position symbol-freed object-not-patched \
		truncated truncated-header
	# s390 writes over whatever is there.
	[ "$ARCH" != x86_64 ] || damaged klp_test_late place-occupied
	damaged klp_test_positions ambiguous position-too-large
	# Others may read them just now: what has not changed stays.
	rsync -rc --delete "$OUT/damaged.new/" "$OUT/damaged"
	rm -rf "$OUT/damaged.new"
}

# directories: what is printed.
directories() {
	if [ "$VARIANT" = peer ]; then
		echo "$OUT:$OUT/samples/cmdline:$OUT/selftests:$OUT/kernel-samples"
	else
		echo "$OUT:$OUT/samples/cmdline:$OUT/samples/meminfo:$OUT/samples/module-target:$OUT/samples/rust/cmdline:$OUT/samples/rust/meminfo:$OUT/selftests:$OUT/selftests-rust:$OUT/new:$OUT/damaged:$OUT/kernel-samples"
	fi
}

case "${1:-}" in
--build)
	if [ "$VARIANT" = peer ]; then build_peer; else build; fi
	exit
	;;
--directories)
	directories
	exit
	;;
-*) die "unknown argument: $1" ;;
esac

OUT=$("$TOP/scripts/modules.sh" "$VARIANT")
KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
KLP=$("$TOP/scripts/klp.sh")
GUEST_KLP=$KLP
[ -z "$(cross)" ] || GUEST_KLP=$("$TOP/scripts/klp.sh" --guest)
SRC=$(readlink -f "$KOBJ/source")
# Whatever is in the checkout may be a part of it, or say how it is built.
FROM=("$TOP" "$KOBJ/.done" "$KLP" "$GUEST_KLP" "$OUT"/{livepatch.ko,Module.symvers})

build_changed() {
	changed_since "$OUT/.tests" "${FROM[@]}" || return 0
	touch "$OUT/.tests.begun"
	step "samples and test modules for $ARCH $VARIANT" "1 min" "$TOP/scripts/enter" \
		env OUT="$OUT" KOBJ="$KOBJ" KLP="$KLP" GUEST_KLP="$GUEST_KLP" SRC="$SRC" VARIANT="$VARIANT" \
		"$0" --build
	mv "$OUT/.tests.begun" "$OUT/.tests"
}

locked "tests-$(basename "$OUT")" build_changed
directories
