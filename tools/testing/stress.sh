#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything that livepatch.ko does, at random and several things at once, for
# MINUTES on the kernel with lockdep and kmemleak (VARIANT= for another one). SEED
# chooses what is done; it is printed, and the same seed asks for the same things,
# though not at the same moments. DELAYS=1 has livepatch.ko sleep at random where it
# takes locks; FAULTS=1 has one in fifty of its allocations fail. Ends with
# `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

MINUTES=${MINUTES:-10}
SEED=${SEED:-$RANDOM}
VARIANT=${VARIANT:-lockdep}
[[ $MINUTES =~ ^[0-9]+$ && $SEED =~ ^[0-9]+$ ]] || die "MINUTES and SEED are whole numbers"

MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
KIND=$ARCH-$VARIANT${DELAYS:+-delays}${FAULTS:+-faults}-$SEED
STAGE=$CACHE/tmp/stress-$KIND-$(key "$TOP")
rm -rf "$STAGE"
trap 'rm -rf "$STAGE"' EXIT
mkdir -p "$STAGE/stress"
IFS=: read -ra dirs <<<"$MODULES_DIR"
for dir in "${dirs[@]}"; do
	find -L "$dir" -maxdepth 1 -name '[!.]*.ko' -exec cp {} "$STAGE/stress/" \;
done
cp "$TOP/tools/testing/vm/stress" "$STAGE/stress/run"

say "stress on the $ARCH $VARIANT kernel for $MINUTES min, SEED=$SEED${DELAYS:+, with delays}${FAULTS:+, with faults}"
log=$CACHE/log/stress-$KIND-$(key "$TOP").txt
for _ in 1 2 3; do
	status=0
	"$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" --overlay "$STAGE" \
		--overlay "${dirs[0]}/overlay" --timeout $((MINUTES * 60 + 600)) --console-log "${log%.txt}.console" \
		-- bash /stress/run "$MINUTES" "$SEED" ${FAULTS:+faults} | tee "$log" || status=$?
	tail -n 1 "$log" | grep -q '^not begun' || break
done
if [ "$status" -ne 0 ]; then
	say "seed $SEED failed; the kernel's log is ${log%.txt}.console"
	echo "0 passed, 1 failed"
	exit 1
fi
tail -n 1 "$log" | grep -qx 'clean' || die "the guest did not say that it was clean"
echo "1 passed, 0 failed"
