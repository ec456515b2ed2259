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
. "$TOP/tools/testing/tutorial-guest.sh"

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

cp "$WORK"/there/*.ko "$WORK/guest/root/" || cat "$WORK/build.out"
patched_machine "the tutorial of klp build" . --kernel "$ROOT/boot/vmlinuz-$RELEASE" \
	--console-log "$CACHE/log/console-tutorial-build.log"
