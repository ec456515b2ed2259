#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the klp command and print its path. cargo's directory is shared by all
# checkouts; the command is this one's.

. "$(dirname "$0")/lib.sh"

OUT=$CACHE/klp/$(key "$TOP")

build() {
	cargo build --release --locked \
		--manifest-path "$TOP/tools/klp/Cargo.toml"
	mkdir -p "$OUT"
	# Files that run make their makers stale: only what has changed is written.
	cmp -s "$CACHE/cargo-target/release/klp" "$OUT/klp" ||
		{ cp "$CACHE/cargo-target/release/klp" "$OUT/klp.new" && mv "$OUT/klp.new" "$OUT/klp"; }
}

case "${1:-}" in
--build) build ;;
*)
	# cargo itself knows what has changed.
	PROGRESS=30 locked klp step "klp command" "2 min when new" "$TOP/scripts/enter" "$0" --build
	echo "$OUT/klp"
	;;
esac
