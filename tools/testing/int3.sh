#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Whose an "int3" oops is that comes where a function is patched while all processors call
# it: the kernel's, or the emulator's. For MINUTES (2), a patch of two such functions is
# enabled and disabled on the plain kernel with two processors that are emulated by a thread
# each, and calls go straight to the new functions (DIRECT=N: by way of a handler). A
# breakpoint trap that nobody claims is looked at; klp_test_int3.c in the selftests says
# how. ACCEL=tcg,thread=single emulates both processors by one thread.
#
# Ends with `N switches, M stale traps, longest series K`, and `1 passed, 0 failed` if no
# trap was another than one of the emulator's. BROKEN=1: with a breakpoint that is nobody's,
# which it has to find.

. "$(dirname "$0")/../../scripts/lib.sh"

MINUTES=${MINUTES:-2}
DIRECT=${DIRECT:-Y}
[[ $MINUTES =~ ^[0-9]+$ && $DIRECT =~ ^[YN]$ ]] || die "MINUTES is a whole number, DIRECT is Y or N"
export ACCEL=${ACCEL:-tcg,thread=multi}

[ "$ARCH" = x86_64 ] || die "int3 is of x86_64"
VARIANT=plain
MODULES_DIR=$("$TOP/tools/testing/modules.sh" $VARIANT)
LIVEPATCH=${MODULES_DIR%%:*}
STAGE=$(mktemp -d "$CACHE/tmp/int3.XXXXXX")
trap 'rm -rf "$STAGE"' EXIT
mkdir "$STAGE/int3"
cp "$TOP/tools/testing/vm/int3" "$STAGE/int3/run"
cp "$LIVEPATCH"/{livepatch,selftests/klp_test_{int3,hot,hot_patch}}.ko "$STAGE/int3/"

say "two functions on two processors ($ACCEL) are patched for $MINUTES min, direct=$DIRECT"
LOG=$CACHE/log/int3-$(key "$TOP").txt
status=0
"$TOP/tools/testing/vm/run.sh" --variant $VARIANT --overlay "$STAGE" --timeout $((MINUTES * 60 + 300)) \
	--console-log "${LOG%.txt}.console" -- \
	bash /int3/run $((MINUTES * 60)) "$DIRECT" ${BROKEN:+broken} | tee "$LOG" || status=$?

# number NAME: as it was told last.
number() { sed -n "s/.*\b$1 \([0-9]*\).*/\1/p" "$LOG" | tail -n 1; }

[ -n "$(number switches)" ] || die "the guest has not begun; the kernel's log is ${LOG%.txt}.console"
passed=0
if [ "$status" -ne 0 ] || ! tail -n 1 "$LOG" | grep -qx complete; then
	say "the guest has not come to its end; the kernel's log is ${LOG%.txt}.console"
elif [ "$(number single)" -ne 0 ]; then
	say "$(number single) traps came once and not again: that they are the emulator's is not shown"
elif [ "$(number traps)" -eq 0 ]; then
	say "no trap was left unclaimed"
	passed=1
else
	say "at each place memory held no breakpoint while the same call trapped again: the emulator's translation was stale"
	passed=1
fi
echo "$(number switches) switches, $(number traps) stale traps, longest series $(number longest)"
echo "$passed passed, $((1 - passed)) failed"
[ "$passed" -eq 1 ]
