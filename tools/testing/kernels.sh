#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The selftests, and mainline's, on kernels that are configured in other ways: each is
# built if it is not there. Ends with a table, and with `N passed, N failed`.
#
#   kernels.sh [VARIANT...]     as scripts/kernel.sh has them; all, if none is given

. "$(dirname "$0")/../../scripts/lib.sh"

VARIANTS=("$@")
if [ $# -eq 0 ]; then
	VARIANTS=(preempt rt modversions)
	[ "$ARCH" != x86_64 ] || VARIANTS+=(ibt cfi)
fi

passed=0
failed=0
rows=()

# suite NAME COMMAND...: one cell of the table.
suite() {
	local log=$CACHE/log/kernels-$ARCH-$VARIANT-$1.txt line
	shift
	"$@" 2>&1 | tee "$log" || true
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)
	[ -n "$line" ] || line="0 passed, 1 failed"
	row+=" $line |"
	line=${line//[^0-9 ]/}
	passed=$((passed + ${line%% *}))
	failed=$((failed + ${line##* }))
}

for VARIANT in "${VARIANTS[@]}"; do
	export VARIANT
	row="| $VARIANT |"
	if ! "$TOP/scripts/kernel.sh" "$VARIANT" >/dev/null; then
		rows+=("$row not built | | |")
		failed=$((failed + 1))
		continue
	fi
	MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
	export MODULES_DIR
	case $VARIANT in
	ibt | cfi) suite branches "$TOP/tools/testing/branches.sh" "$VARIANT" ;;
	*) row+=" |" ;;
	esac
	suite selftests "$TOP/tools/testing/selftests.sh" --variant "$VARIANT"
	suite upstream "$TOP/tools/testing/upstream.sh"
	rows+=("$row")
done

echo
echo "| kernel | branches | selftests | mainline's selftests |"
echo "| --- | --- | --- | --- |"
printf '%s\n' "${rows[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
