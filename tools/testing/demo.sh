#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build what is missing, boot a kernel without livepatch support, patch it while
# it runs. Every step is checked; the first that is not as expected ends it.

. "$(dirname "$0")/../../scripts/lib.sh"

MODULES_DIR=$("$TOP/tools/testing/modules.sh")
STAGE=$CACHE/tmp/demo-$ARCH
rm -rf "$STAGE"
mkdir -p "$STAGE/demo"
IFS=: read -ra dirs <<<"$MODULES_DIR"
for module in livepatch livepatch-{cmdline,meminfo}{,-rust} livepatch-target klp_target; do
	for dir in "${dirs[@]}"; do
		[ ! -f "$dir/$module.ko" ] || cp "$dir/$module.ko" "$STAGE/demo/"
	done
done
cp "$TOP/tools/testing/vm/demo" "$STAGE/demo/run"

say "booting the $ARCH kernel in QEMU"
status=0
"$TOP/tools/testing/vm/run.sh" --overlay "$STAGE" --timeout 300 -- bash /demo/run || status=$?
[ "$status" -eq 0 ] || die "the demo failed with status $status"
say "the demo is over, the guest is off"
