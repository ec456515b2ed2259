#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the klp command and print its path.

. "$(dirname "$0")/lib.sh"

build() {
	cargo build --release --locked \
		--manifest-path "$TOP/tools/klp/Cargo.toml"
}

case "${1:-}" in
--build) build ;;
*)
	# cargo itself knows what has changed.
	PROGRESS=30 locked klp step "klp command" "2 min when new" "$TOP/scripts/enter" "$0" --build
	echo "$CACHE/cargo-target/release/klp"
	;;
esac
