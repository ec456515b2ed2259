#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build livepatch.ko for a test kernel, outside of the checkout, and print where.
#
#   modules.sh [VARIANT]            livepatch.ko
#   modules.sh [VARIANT] --clippy   the same sources through clippy, warnings are errors

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
OUT=$CACHE/modules/$(basename "$KOBJ")-$(key "$TOP")${CLIPPY:+-clippy}

build() {
	local args
	read -ra args <<<"$(kmake_args "$VARIANT")"
	mkdir -p "$OUT"
	step "livepatch.ko for $ARCH $VARIANT${CLIPPY:+, clippy}" "20 s" \
		"$TOP/scripts/enter" make -C "$KOBJ" M="$TOP" MO="$OUT" "${args[@]}" \
		${CLIPPY:+CLIPPY=1} -j"$JOBS" modules
	# What the compiler has to say is not lost in the log.
	! grep -E -A 8 '^(warning|error)|objtool: ' "$STEP_LOG" | head -n 200 >&2 || [ -z "$CLIPPY" ] ||
		die "clippy has something to say"
}

locked "modules-$(basename "$OUT")" build
echo "$OUT"
