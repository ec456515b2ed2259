#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the kernel source's own objtool with `objtool klp`, and print its path. That of a
# kernel's build lacks it, as the toolchain tree has no libxxhash then.

. "$(dirname "$0")/../../../scripts/lib.sh"

SRC=$("$TOP/scripts/source.sh")
TREE=$("$TOP/scripts/toolchain.sh" libxxhash-dev)
OUT=$CACHE/objtool/$(key "$SRC" "$SRC/Makefile" "$TREE")

build() {
	[ ! -e "$OUT/.done" ] || return 0
	rm -rf "$OUT"
	mkdir -p "$OUT/tools"
	step "objtool with klp" "15 s" "$TOP/scripts/enter" \
		make -C "$SRC/tools" O="$OUT" subdir=tools ARCH=x86_64 -j"$JOBS" objtool
	# One without says so, and does nothing else.
	! "$TOP/scripts/enter" "$OUT/tools/objtool/objtool" klp 2>&1 | grep -q 'not implemented' ||
		die "objtool was built without klp: is libxxhash-dev in the toolchain tree?"
	touch "$OUT/.done"
}

locked objtool build
echo "$OUT/tools/objtool/objtool"
