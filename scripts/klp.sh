#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the klp command and print its path. It is linked statically: its C library is
# the tree's, which may be newer than the system's that it runs on.
#
#   klp.sh            for this machine
#   klp.sh --guest    for the guests of $ARCH

. "$(dirname "$0")/lib.sh"

MACHINE=$(uname -m)
if [ "${1:-}" = --guest ] || [ "${2:-}" = --guest ]; then
	MACHINE=$(debian_arch)
	[ "$MACHINE" != amd64 ] || MACHINE=x86_64
fi
TARGET=$(rust_target "$MACHINE")
OUT=$CACHE/klp/$(key "$TOP")
KLP=$OUT/klp
[ "$MACHINE" = "$(uname -m)" ] || KLP=$OUT/klp-$MACHINE

build() {
	local linker dir=$CARGO_TARGET_DIR
	if [ "$MACHINE" = "$(uname -m)" ]; then
		"$TOP/scripts/cargo" build --package klp
	else
		# Debian has the standard library of its own machine only. For another it is
		# built from its sources, which rustc wants to be asked for in this way; the
		# tools for the build are then other ones as well, and have their own directory.
		dir=$dir/$MACHINE
		linker=CARGO_TARGET_${TARGET^^}_LINKER
		export RUSTC_BOOTSTRAP=1 "${linker//-/_}=$(cross)gcc"
		RUST_TARGET=$TARGET CARGO_TARGET_DIR=$dir "$TOP/scripts/cargo" build --package klp \
			-Zbuild-std=std,panic_unwind
	fi
	mkdir -p "$OUT"
	# Files that run make their makers stale: only what has changed is written.
	cmp -s "$dir/$TARGET/release/klp" "$KLP" ||
		{ cp "$dir/$TARGET/release/klp" "$KLP.new" && mv "$KLP.new" "$KLP"; }
}

case "${1:-}" in
--build) build ;;
*)
	# cargo itself knows what has changed.
	PROGRESS=30 locked "klp-$(basename "$OUT")" step "klp command for $MACHINE" "2 min when new" \
		"$TOP/scripts/enter" "$0" --build "$@"
	echo "$KLP"
	;;
esac
