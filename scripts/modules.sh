#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build livepatch.ko for a test kernel, outside of the checkout, and print where.
#
#   modules.sh [VARIANT]            livepatch.ko
#   modules.sh [VARIANT] --clippy   the same sources through clippy, and those of patches
#                                   in Rust; warnings are errors
#
#   DELAYS=1    with random delays where it takes locks, to be tested for races

. "$(dirname "$0")/lib.sh"

VARIANT=plain
CLIPPY=
for arg in "$@"; do
	case "$arg" in
	--clippy) CLIPPY=1 ;;
	*) VARIANT=$arg ;;
	esac
done

KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
OUT=$CACHE/modules/$(basename "$KOBJ")-$(key "$TOP")${CLIPPY:+-clippy}${DELAYS:+-delays}

# kbuild LABEL DIRECTORY OUT [ARGUMENT]...
kbuild() {
	local args label=$1 dir=$2 out=$3
	shift 3
	read -ra args <<<"$(kmake_args "$VARIANT")"
	mkdir -p "$out"
	step "$label for $ARCH $VARIANT${CLIPPY:+, clippy}" "20 s" \
		"$TOP/scripts/enter" make -C "$KOBJ" M="$dir" MO="$out" "${args[@]}" \
		${CLIPPY:+CLIPPY=1} "$@" -j"$JOBS" modules
	# What the compiler has to say is not lost in the log.
	! grep -E -A 8 '^(warning|error)|objtool: ' "$STEP_LOG" | head -n 200 >&2 || [ -z "$CLIPPY" ] ||
		die "clippy has something to say"
}

build() {
	local dir
	kbuild livepatch.ko "$TOP" "$OUT" ${DELAYS:+LIVEPATCH_DELAYS=1}
	[ -n "$CLIPPY" ] || return 0
	for dir in samples/rust/*/; do
		kbuild "$dir" "$TOP/$dir" "$OUT/$dir" LIVEPATCH="$TOP" LIVEPATCH_SYMVERS="$OUT/Module.symvers"
	done
}

cd "$TOP"
locked "modules-$(basename "$OUT")" build
echo "$OUT"
