#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What klp_diff makes of edits of the kernel's source, beside what the kernel's own `objtool klp
# diff` makes of them: the same functions, symbols and entries of tables, or what is different has a
# reason in oracle/edits.py. Without a guest. Ends with `N passed, N failed`.
#
#   oracle.sh [NAME...]     these edits only
#   N=n SEED=s oracle.sh    n of them

. "$(dirname "$0")/../../scripts/lib.sh"

[ "$ARCH" = x86_64 ] || die "objtool klp is for x86_64: there is nothing to compare with for $ARCH"

SRC=$("$TOP/scripts/source.sh")
KOBJ=$("$TOP/scripts/kernel.sh" plain)
OBJTOOL=$("$TOP/tools/testing/others/objtool.sh")
WORK=$CACHE/tmp/oracle-$(key "$TOP")

build() {
	step "klp_diff's example" "5 min when new" "$TOP/scripts/cargo" build --workspace --example diff
	mkdir -p "$WORK"
	cp "$("$TOP/scripts/cargo" --directory)/examples/diff" "$WORK/"
}

oracle() {
	"$TOP/scripts/enter" env KOBJ="$KOBJ" SRC="$SRC" OBJTOOL="$OBJTOOL" DIFF="$WORK/diff" JOBS="$JOBS" \
		PYTHONDONTWRITEBYTECODE=1 python3 "$TOP/tools/testing/oracle/oracle.py" "$@"
}

rm -rf "$WORK"
build
EDITS=("$@")
[ -z "${N:-}" ] || read -ra EDITS <<<"$(oracle --draw "$N" "${SEED:-$RANDOM}")"
# What differs in another way than it should stays there, to be looked at.
oracle "$WORK" "${EDITS[@]}"
rm -rf "$WORK"
