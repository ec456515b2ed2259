#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything that is tested, on the host and on kernels of the architectures that
# are named. Ends with one line `N passed, N failed`.
#
#   test.sh ARCH...

. "$(dirname "$0")/../../scripts/lib.sh"

ARCHS=("${@:-$ARCH}")
passed=0
failed=0
summary=()

# part NAME COMMAND...: run a part that ends with `N passed, N failed`, and add its
# counts to the totals. A part that does not end so has failed.
part() {
	local name=$1 start=$SECONDS status=0 log line
	shift
	log=$CACHE/log/test-$name.txt
	say "== $name"
	"$@" 2>&1 | tee "$log" || status=$?
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
	if [ -z "$line" ]; then
		line="0 passed, 1 failed"
	elif [ "$status" -ne 0 ] && [[ $line == *" 0 failed" ]]; then
		line="${line%% *} passed, 1 failed"
	fi
	passed=$((passed + ${line%% *}))
	line=${line#*, }
	failed=$((failed + ${line%% *}))
	summary+=("$(printf '%-28s %-9s (%s)' "$name" "${line%% *} failed" "$(elapsed $((SECONDS - start)))")")
}

# host: the tests of rust/format and of klp, counted from cargo's own lines.
host() {
	local log=$CACHE/log/cargo-test.txt status=0
	"$TOP/scripts/enter" \
		cargo test --locked --workspace --manifest-path "$TOP/tools/klp/Cargo.toml" 2>&1 |
		tee "$log" | grep -E '^test result|^error|FAILED|panicked' || status=$?
	awk '/^test result:/ { passed += $4; failed += $6 }
		END { printf "%d passed, %d failed\n", passed, failed + (passed == 0) }' "$log"
	return "$status"
}

selftests() {
	MODULES_DIR=$("$TOP/tools/testing/modules.sh") "$TOP/tools/testing/selftests.sh"
}

# The architecture on which livepatch.ko is measured beside the C core.
is_measured() { [ "$1" = x86_64 ]; }

# What is tested is built first: with its own progress lines, and an end where
# something cannot be had.
"$TOP/scripts/toolchain.sh" >/dev/null
for ARCH in "${ARCHS[@]}"; do
	export ARCH
	"$TOP/tools/testing/modules.sh" >/dev/null
	"$TOP/scripts/guest.sh" >/dev/null
	! is_measured "$ARCH" || "$TOP/scripts/kernel.sh" peer >/dev/null
done

part "host" host
SECONDS_EACH=5 part "fuzz" "$TOP/tools/testing/fuzz.sh"
# The harness is the same for all.
ARCH=${ARCHS[0]} part "harness" "$TOP/tools/testing/harness/run.sh"
for ARCH in "${ARCHS[@]}"; do
	export ARCH
	part "lint-$ARCH" "$TOP/tools/testing/lint.sh"
	part "selftests-$ARCH" selftests
	part "upstream-$ARCH" "$TOP/tools/testing/upstream.sh"
	VARIANT=plain N=150 part "hostile-$ARCH" "$TOP/tools/testing/hostile.sh"
	part "reboot-$ARCH" "$TOP/tools/testing/reboot.sh"
	part "tutorial-$ARCH" "$TOP/tools/testing/tutorial.sh"
	# Packages are built for the machine's own architecture.
	[ "$ARCH" != "$(uname -m)" ] || part "packaging" "$TOP/tools/testing/packaging.sh"
	! is_measured "$ARCH" || QUICK=1 part "bench-$ARCH" "$TOP/tools/testing/bench.sh"
done

echo
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
