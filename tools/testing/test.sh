#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything that is tested, on the host and on kernels of the architectures that
# are named. What runs in guests waits much of the time: these are tested side by side,
# and the host beside them. Ends with one line `N passed, N failed`.
#
#   test.sh ARCH...

. "$(dirname "$0")/../../scripts/lib.sh"

ARCHS=("${@:-$ARCH}")
# A line for each part that is done: its name, how many passed and failed, its seconds.
RESULTS=$(mktemp "$CACHE/tmp/test.XXXXXX")
trap 'rm -f "$RESULTS"' EXIT

# part NAME COMMAND...: run a part that ends with `N passed, N failed`, and add its
# counts to the totals. A part that does not end so has failed.
part() {
	local name=$1 start=$SECONDS status=0 log line
	shift
	log=$CACHE/log/test-$name.txt
	say "== $name"
	"$@" 2>&1 | tee "$log" || status=$?
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)
	if [ -z "$line" ]; then
		line="0 passed, 1 failed"
	elif [ "$status" -ne 0 ] && [[ $line == *" 0 failed" ]]; then
		line="${line%% *} passed, 1 failed"
	fi
	echo "$name ${line//[^0-9 ]/} $((SECONDS - start))" >>"$RESULTS"
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

# selftests SCRIPT...
selftests() {
	MODULES_DIR=$("$TOP/tools/testing/modules.sh") "$TOP/tools/testing/selftests.sh" "$@"
}

# scripts -l|-L: those that need several CPUs, those that do not.
scripts() {
	(cd "$TOP/tools/testing/selftests/livepatch" && grep "$1" -x '# selftests: smp' test-*.sh)
}

# what_failed PART: from what it printed.
what_failed() {
	local log=$CACHE/log/test-$1.txt pattern='^not ok |^# FAIL|^FAIL|panicked at|\.\.\. FAILED$|^# selftests: |KERNEL BUG'
	[ -e "$log" ] || return 0
	(grep -E -A 5 -- "$pattern" "$log" || tail -n 20 "$log") | head -n 60 | sed "s/^/$1: /"
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

# on_the_host: what needs no guest, what has quick ones, and the measurement, which
# counts instructions, so that it does not matter what else runs.
on_the_host() {
	part "host" host
	SECONDS_EACH=5 part "fuzz" "$TOP/tools/testing/fuzz.sh"
	# The harness is the same for all.
	part "harness" "$TOP/tools/testing/harness/run.sh"
	for ARCH in "${ARCHS[@]}"; do
		! is_measured "$ARCH" || QUICK=1 part "bench-$ARCH" "$TOP/tools/testing/bench.sh"
	done
}

# one_cpu: the selftests that do not need more.
one_cpu() {
	local scripts
	mapfile -t scripts < <(scripts -L)
	part "selftests-$ARCH" selftests "${scripts[@]}"
}

# guests: what else is tested on $ARCH.
guests() {
	local scripts
	mapfile -t scripts < <(scripts -l)
	part "lint-$ARCH" "$TOP/tools/testing/lint.sh"
	part "selftests-smp-$ARCH" selftests "${scripts[@]}"
	part "upstream-$ARCH" "$TOP/tools/testing/upstream.sh"
	VARIANT=plain N=150 part "hostile-$ARCH" "$TOP/tools/testing/hostile.sh"
	part "reboot-$ARCH" "$TOP/tools/testing/reboot.sh"
	part "tutorial-$ARCH" "$TOP/tools/testing/tutorial.sh"
	# Packages are built for the machine's own architecture.
	[ "$ARCH" != "$(uname -m)" ] || part "packaging" "$TOP/tools/testing/packaging.sh"
}

all_guests() {
	one_cpu
	guests
}

running=()
# beside LABEL COMMAND...: in the background; its lines begin with the label.
beside() {
	local label=$1
	shift
	("$@" 2>&1 | sed -u "s/^/$label: /") &
	running+=("$!")
}
for ARCH in "${ARCHS[@]}"; do
	export ARCH
	# An emulated s390 takes twice as long.
	case $ARCH in
	s390)
		beside "$ARCH" guests
		beside "$ARCH" one_cpu
		;;
	*) beside "$ARCH" all_guests ;;
	esac
done
export ARCH=${ARCHS[0]}
beside host on_the_host
for job in "${running[@]}"; do
	wait "$job" || echo "unfinished 0 1 0" >>"$RESULTS"
done

echo
passed=0
failed=0
while read -r name good bad seconds; do
	passed=$((passed + good))
	failed=$((failed + bad))
	printf '%-28s %5s passed %3s failed   (%s)\n' "$name" "$good" "$bad" "$(elapsed "$seconds")"
done <"$RESULTS"
if [ "$failed" -ne 0 ]; then
	echo
	echo "What failed, with the last lines of parts that say nothing of it:"
	while read -r name good bad seconds; do
		[ "$bad" -eq 0 ] || what_failed "$name"
	done <"$RESULTS"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
