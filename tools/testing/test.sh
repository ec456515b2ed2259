#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything that is tested, on the host and on kernels of the architectures that
# are named. What runs in guests waits much of the time: these are tested side by side,
# and beside them the host, and the kernels of the next architecture are built. Ends with one line
# `N passed, N failed`.
#
#   test.sh ARCH...

. "$(dirname "$0")/../../scripts/lib.sh"
REPORT=${REPORT:-$CACHE/log/junit.xml}
. "$TOP/tools/testing/parts.sh"

# The architecture on which livepatch.ko is measured beside the C core, and runs on the
# kernel that looks for faults as well.
is_measured() { [ "$1" = x86_64 ]; }

# set_up: what is tested on $ARCH is built first, with its own progress lines.
set_up() {
	"$TOP/tools/testing/modules.sh" >/dev/null
	"$TOP/scripts/guest.sh" >/dev/null
	"$TOP/scripts/stock.sh" image >/dev/null
	"$TOP/scripts/stock.sh" headers >/dev/null
	if is_measured "$ARCH"; then
		"$TOP/scripts/kernel.sh" peer >/dev/null
		"$TOP/tools/testing/others/objtool.sh" >/dev/null
		"$TOP/tools/testing/modules.sh" lockdep >/dev/null
		"$TOP/scripts/guest.sh" systemd >/dev/null
	fi
	echo "1 passed, 0 failed"
}

if [ "${1:-}" = --set-up ]; then
	set_up
	exit
fi

ARCHS=("${@:-$ARCH}")

# host: the tests of rust/format and of klp, counted from cargo's own lines.
host() {
	local log=$LOGS/cargo-test.txt status=0
	"$TOP/scripts/cargo" test --workspace --no-fail-fast 2>&1 |
		tee "$log" | grep -E '^test result|^error|FAILED|panicked' || status=$?
	awk '/^test result:/ { passed += $4; failed += $6 }
		END { printf "%d passed, %d failed\n", passed, failed + (passed == 0) }' "$log"
	return "$status"
}

selftests() {
	local modules
	modules=$("$TOP/tools/testing/modules.sh") || return
	MODULES_DIR=$modules "$TOP/tools/testing/selftests.sh" "$@"
}

# without_kernels: what needs no kernel, or only a compiler.
without_kernels() {
	part "host" host
	# A target that cannot be built is counted where they are run.
	"$TOP/tools/testing/fuzz.sh" --targets || true
}

# on_the_host: what needs no guest, what has quick ones, and the measurement, which
# counts instructions, so that it does not matter what else runs.
on_the_host() {
	SECONDS_EACH=5 part "fuzz" "$TOP/tools/testing/fuzz.sh"
	part "docs" "$TOP/tools/testing/docs.sh"
	part "rust-types" "$TOP/tools/testing/rust-types.sh"
	# The harness is the same for all.
	part "harness" "$TOP/tools/testing/harness/run.sh"
	! is_native || part "own-kernel" "$TOP/tools/testing/own-kernel.sh"
	for ARCH in "${ARCHS[@]}"; do
		part "images-$ARCH" "$TOP/tools/testing/images.sh"
		! is_measured "$ARCH" || part "oracle-$ARCH" "$TOP/tools/testing/oracle.sh"
		! is_measured "$ARCH" || QUICK=1 part "bench-$ARCH" "$TOP/tools/testing/bench.sh"
	done
}

# guests: the first half of what is tested on $ARCH.
guests() {
	part "lint-$ARCH" "$TOP/tools/testing/lint.sh"
	part "selftests-smp-$ARCH" selftests --only smp
	part "upstream-$ARCH" "$TOP/tools/testing/upstream.sh"
	# The C core needs a kernel of its own, which is there where it is measured.
	if is_measured "$ARCH"; then
		part "others-$ARCH" "$TOP/tools/testing/others.sh"
		part "build-$ARCH" "$TOP/tools/testing/build.sh" plain peer
		part "tutorial-build-$ARCH" "$TOP/tools/testing/tutorial-build.sh"
	else
		part "others-$ARCH" "$TOP/tools/testing/others.sh" plain
		part "build-$ARCH" "$TOP/tools/testing/build.sh"
	fi
	VARIANT=plain N=150 part "hostile-$ARCH" "$TOP/tools/testing/hostile.sh"
	part "reboot-$ARCH" "$TOP/tools/testing/reboot.sh"
	part "stock-$ARCH" "$TOP/tools/testing/stock.sh"
	part "tutorial-$ARCH" "$TOP/tools/testing/tutorial.sh"
	# Packages are built for the machine's own architecture.
	! is_native || part "packaging" "$TOP/tools/testing/packaging.sh"
}

# with_checks: a little of what is done for hours, on the kernel that has lockdep,
# kmemleak and faults to inject, and what systemd needs.
with_checks() {
	part "branches-$ARCH" "$TOP/tools/testing/branches.sh" lockdep
	part "signatures-$ARCH" "$TOP/tools/testing/signatures.sh"
	part "service-$ARCH" "$TOP/tools/testing/service.sh"
	EVERY=20 part "fail-nth-$ARCH" "$TOP/tools/testing/fail-nth.sh"
	MINUTES=1 SEED=1 part "stress-$ARCH" "$TOP/tools/testing/stress.sh"
	MINUTES=1 SEED=2 FAULTS=1 part "stress-faults-$ARCH" "$TOP/tools/testing/stress.sh"
}

# more_guests: the other half, which takes about as long.
more_guests() {
	! is_measured "$ARCH" || with_checks
	part "selftests-$ARCH" selftests --only one-cpu
}

running=()
# beside LABEL COMMAND...: in the background; its lines begin with the label.
beside() {
	local label=$1
	shift
	("$@" 2>&1 | sed -u "s/^/$label: /") &
	running+=("$!")
}

# The tree is made first: it ends here where it cannot be had.
"$TOP/scripts/toolchain.sh" >/dev/null
# The build of a kernel has stretches in which one processor has nothing to do.
beside host without_kernels
# The one that is measured has the most kernels to be built: the other one is tested meanwhile.
ORDER=()
for ARCH in "${ARCHS[@]}"; do
	if is_measured "$ARCH"; then ORDER+=("$ARCH"); else ORDER=("$ARCH" "${ORDER[@]}"); fi
done
ready=0
for ARCH in "${ORDER[@]}"; do
	export ARCH
	part "set-up-$ARCH" "$TOP/tools/testing/test.sh" --set-up
	grep -q "^set-up-$ARCH 1 0 " "$RESULTS" || continue
	ready=$((ready + 1))
	beside "$ARCH" guests
	beside "$ARCH more" more_guests
done
if [ "$ready" -eq "${#ARCHS[@]}" ]; then
	export ARCH=${ARCHS[0]}
	beside host on_the_host
fi
for job in "${running[@]}"; do
	wait "$job" || record unfinished 0 1 0
done

totals
