#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What klp takes on a large kernel, in processor time and memory, beside the kernel's own `objtool
# klp` on the same kernel: Debian's configuration, whose vmlinux has about 60 MiB. Without a guest.
# Ends with `N passed, N failed`; what failed is a goal that was missed.

. "$(dirname "$0")/../../scripts/lib.sh"

[ "$ARCH" = x86_64 ] || die "objtool klp is for x86_64: there is nothing to compare with for $ARCH"

KOBJ=$("$TOP/scripts/kernel.sh" debian)
KLP=$("$TOP/scripts/klp.sh")
OBJTOOL=$("$TOP/tools/testing/others/objtool.sh")
WORK=$CACHE/tmp/klp-bench-$(key "$TOP")

rm -rf "$WORK"
trap 'rm -rf "$WORK"' EXIT
"$TOP/scripts/enter" env KOBJ="$KOBJ" KLP="$KLP" OBJTOOL="$OBJTOOL" \
	python3 "$TOP/tools/testing/klp-bench.py" "$WORK"
