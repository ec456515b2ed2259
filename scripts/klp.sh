#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the klp command and print its path. cargo's directory is shared by all
# checkouts; the command is this one's. It is linked statically: the C library of the
# toolchain tree may be newer than that of the host, where the command runs as well.

. "$(dirname "$0")/lib.sh"

OUT=$CACHE/klp/$(key "$TOP")

build() {
	local target built
	target=$(rustc -vV | sed -n 's/^host: //p')
	built=$CARGO_TARGET_DIR/$target/release/klp
	# With a target, what runs during the build is linked as usual.
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --package klp \
		--target "$target" --manifest-path "$TOP/tools/klp/Cargo.toml"
	mkdir -p "$OUT"
	# Files that run make their makers stale: only what has changed is written.
	cmp -s "$built" "$OUT/klp" ||
		{ cp "$built" "$OUT/klp.new" && mv "$OUT/klp.new" "$OUT/klp"; }
}

case "${1:-}" in
--build) build ;;
*)
	# cargo itself knows what has changed.
	PROGRESS=30 locked klp step "klp command" "2 min when new" "$TOP/scripts/enter" "$0" --build
	echo "$OUT/klp"
	;;
esac
