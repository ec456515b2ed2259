#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The selftests, and mainline's, on kernels that are configured in other ways: each is
# built if it is not there. Ends with `N passed, N failed`.
#
#   kernels.sh [VARIANT...]     as scripts/kernel.sh has them; all, if none is given
#
# CONFIG= names the file of a configuration: the kernel is built with that, in place of all
# these (KSRC= where it is for another source, LLVM=1 where clang is to build it).

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/parts.sh"

VARIANTS=("$@")
if [ -n "${CONFIG:-}" ]; then
	[ $# -eq 0 ] || die "CONFIG= and $* name different kernels"
	VARIANTS=(given)
elif [ $# -eq 0 ]; then
	for VARIANT in preempt rt modversions previous ibt cfi oldest-rust debian; do
		# A source of the user's own has no previous release.
		[[ $VARIANT != previous || -z ${KSRC:-} ]] || continue
		! has_variant "$VARIANT" || VARIANTS+=("$VARIANT")
	done
fi

for VARIANT in "${VARIANTS[@]}"; do
	export VARIANT
	name=$ARCH-$VARIANT
	if ! "$TOP/scripts/kernel.sh" "$VARIANT" >/dev/null; then
		record "kernel-$name" 0 1 0
		continue
	fi
	if ! MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT"); then
		record "modules-$name" 0 1 0
		continue
	fi
	export MODULES_DIR
	case $VARIANT in ibt | cfi) part "branches-$name" "$TOP/tools/testing/branches.sh" "$VARIANT" ;; esac
	part "selftests-$name" "$TOP/tools/testing/selftests.sh" --variant "$VARIANT"
	part "upstream-$name" "$TOP/tools/testing/upstream.sh"
	[ "$VARIANT" != debian ] || N=300 part "hostile-$name" "$TOP/tools/testing/hostile.sh"
done
totals
