#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Do what Documentation/livepatch/tutorial-build.md says, word for word, and compare what the
# commands print with what it shows: those for the build machine in the toolchain tree, over
# which Debian's stock kernel lies, and those for root in a guest with that kernel. Ends with
# `N passed, N failed`, one for each command.

. "$(dirname "$0")/../../scripts/lib.sh"

DOCUMENT=$TOP/Documentation/livepatch/tutorial-build.md
WORK=$CACHE/tmp/tutorial-build-$ARCH-$(key "$TOP")

tutorial() { "$TOP/scripts/enter" python3 "$TOP/tools/testing/tutorial.py" "$@"; }

if [ "${1:-}" = --build ]; then
	mkdir "$WORK/there"
	cd "$WORK/there"
	PATH=$(dirname "$2"):$PATH bash "$WORK/build"
	exit
fi

[ "$ARCH" = x86_64 ] || die "the stock kernel for $ARCH loads no livepatches"
"$TOP/scripts/stock.sh" image old >/dev/null
"$TOP/scripts/stock.sh" headers old >/dev/null
ROOT=$("$TOP/scripts/stock.sh" source old)
RELEASE=$("$TOP/scripts/stock.sh" versions | sed -n 's/^old \(.*\) .*/\1/p')

rm -rf "$WORK"
mkdir -p "$WORK/guest/usr/bin" "$WORK/guest/root"
tutorial script '$' "$DOCUMENT" >"$WORK/build"
LAYER=$ROOT PROGRESS=60 step "the tutorial of klp build: the build machine" "1 min when new" \
	"$TOP/scripts/enter" "$0" --build "$("$TOP/scripts/klp.sh")"
cp "$STEP_LOG" "$WORK/build.out"

cp "$("$TOP/scripts/klp.sh" --guest)" "$WORK/guest/usr/bin/klp"
cp "$WORK"/there/*.ko "$WORK/guest/root/" || cat "$WORK/build.out"
tutorial script '#' "$DOCUMENT" >"$WORK/guest/root/run"
say "the tutorial of klp build: the machine that is patched"
status=0
"$TOP/tools/testing/vm/run.sh" --kernel "$ROOT/boot/vmlinuz-$RELEASE" --overlay "$WORK/guest" \
	--console-log "$CACHE/log/console-tutorial-build.log" -- \
	'bash ./run; ! dmesg | grep -E -f /.vm/kernel-bugs' >"$WORK/root.out" || status=$?
[ "$status" -eq 0 ] || sed '/^=== tutorial/d' "$WORK/root.out"

tutorial check "$DOCUMENT" "$WORK/build.out" "$WORK/root.out"
[ "$status" -eq 0 ] || die "the guest ended with status $status"
