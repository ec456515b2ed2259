#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory that runs out: each allocation in a patch's whole life is made to fail, one
# after the other, on the kernel with fault injection, lockdep and kmemleak
# (VARIANT= for another one). EVERY=n: only the first, and then each nth. Ends with
# `N passed, N failed`, one for each sample.

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

VARIANT=${VARIANT:-lockdep}
EVERY=${EVERY:-1}
[[ $EVERY =~ ^[1-9][0-9]*$ ]] || die "EVERY is a whole number"
MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
IFS=: read -ra dirs <<<"$MODULES_DIR"
KIND=$ARCH-$VARIANT$([ "$EVERY" -eq 1 ] || echo "-every-$EVERY")
STAGE=$CACHE/tmp/fail-nth-$KIND-$(key "$TOP")
rm -rf "$STAGE"
trap 'rm -rf "$STAGE"' EXIT
mkdir -p "$STAGE/fail-nth"
for dir in "${dirs[@]}"; do
	find -L "$dir" -maxdepth 1 -name '[!.]*.ko' -exec cp {} "$STAGE/fail-nth/" \;
done
cp "$TOP/tools/testing/vm/fail-nth" "$STAGE/fail-nth/run"

# sample PATCH TARGET FILE MARK: as for vm/fail-nth.
sample() {
	local log status=0
	log=$CACHE/log/fail-nth-$KIND-$1-$(key "$TOP").txt
	say "allocations in the life of $1 fail, 1 in $EVERY, on the $ARCH $VARIANT kernel (about $((10 / EVERY + 1)) min)"
	"$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" --overlay "$STAGE" \
		--overlay "${dirs[0]}/overlay" --timeout 3600 --console-log "${log%.txt}.console" \
		-- bash /fail-nth/run "$EVERY" "$@" | tee "$log" || status=$?
	[ "$status" -ne 0 ] || tail -n 1 "$log" | grep -qx clean || status=1
	count "$status" "$1 with allocations that fail (the kernel's log is ${log%.txt}.console)"
}
sample livepatch-meminfo - /proc/meminfo CommitFree
sample livepatch-target klp_target /proc/klp_target_second livepatched
# With tasks in the way as well.
sample klp_test_nap_patch_1 klp_test_naps /proc/klp_test_step '^1$'
conclude
