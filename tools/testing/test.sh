#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything that is tested, on the host and on kernels of the architectures that
# are named. What runs in guests waits much of the time: these are tested side by side,
# and beside them the host, and the kernels that are needed next are built. Ends with one line
# `N passed, N failed`.
#
#   test.sh ARCH...

. "$(dirname "$0")/../../scripts/lib.sh"
REPORT=${REPORT:-$CACHE/log/junit.xml}
. "$TOP/tools/testing/parts.sh"

# The architecture on which livepatch.ko is measured beside the C core, and runs on the
# kernel that looks for faults as well.
is_measured() { [ "$1" = x86_64 ]; }

# set_up KERNEL: what is tested with it on $ARCH is built first, with its own progress lines.
set_up() {
	case $1 in
	plain)
		"$TOP/tools/testing/modules.sh" >/dev/null
		"$TOP/scripts/guest.sh" >/dev/null
		"$TOP/scripts/stock.sh" image >/dev/null
		"$TOP/scripts/stock.sh" headers >/dev/null
		# It adds a package to the tree, which is not to change below what runs in it.
		! is_measured "$ARCH" || "$TOP/tools/testing/others/objtool.sh" >/dev/null
		;;
	lockdep)
		"$TOP/tools/testing/modules.sh" lockdep >/dev/null
		"$TOP/scripts/guest.sh" systemd >/dev/null
		;;
	peer) "$TOP/scripts/kernel.sh" peer >/dev/null ;;
	esac
	echo "1 passed, 0 failed"
}

if [ "${1:-}" = --set-up ]; then
	set_up "$2"
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

# with_others VARIANT...: livepatches that others build, and those of klp build.
with_others() {
	part "others-$ARCH" "$TOP/tools/testing/others.sh" "$@"
	part "build-$ARCH" "$TOP/tools/testing/build.sh" "$@"
}

# guests: what takes longest on $ARCH.
guests() {
	part "lint-$ARCH" "$TOP/tools/testing/lint.sh"
	part "selftests-smp-$ARCH" selftests --only smp
	part "upstream-$ARCH" "$TOP/tools/testing/upstream.sh"
}

# more_guests: what else needs the plain kernel, or Debian's.
more_guests() {
	part "selftests-$ARCH" selftests --only one-cpu
	# Beside the C core where it is measured, when that has been built.
	is_measured "$ARCH" || with_others plain
	VARIANT=plain N=150 part "hostile-$ARCH" "$TOP/tools/testing/hostile.sh"
	part "reboot-$ARCH" "$TOP/tools/testing/reboot.sh"
	part "stock-$ARCH" "$TOP/tools/testing/stock.sh"
	part "tutorial-$ARCH" "$TOP/tools/testing/tutorial.sh"
	# That of s390 loads no livepatches.
	[ "$ARCH" != x86_64 ] || part "tutorial-build-$ARCH" "$TOP/tools/testing/tutorial-build.sh"
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

# on_other_kernels: that, and what needs the C core, whose kernel is built meanwhile. Not side by
# side: there are enough guests at a time without.
on_other_kernels() {
	with_checks
	with_others plain peer
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
# is_set_up KERNEL: whether that could be done.
is_set_up() {
	part "set-up-$ARCH-$1" "$TOP/tools/testing/test.sh" --set-up "$1"
	grep -q "^set-up-$ARCH-$1 1 0 " "$RESULTS"
}
for ARCH in "${ORDER[@]}"; do
	export ARCH
	is_set_up plain || continue
	beside "$ARCH" guests
	beside "$ARCH more" more_guests
	is_measured "$ARCH" || continue
	is_set_up lockdep || continue
	beside "$ARCH checks" on_other_kernels
	is_set_up peer || true
done
# What is tested there needs all of it.
if ! grep -q '^set-up-[^ ]* 0 ' "$RESULTS"; then
	export ARCH=${ARCHS[0]}
	beside host on_the_host
fi
for job in "${running[@]}"; do
	wait "$job" || record unfinished 0 1 0
done

totals
