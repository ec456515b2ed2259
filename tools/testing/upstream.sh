#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run mainline's own livepatch selftests, from the kernel source, not one byte
# changed: on a kernel without CONFIG_LIVEPATCH with livepatch.ko, or, with
# PEER=1, on the C core. Ends with `N passed, N failed`, one for each `ok` or
# `not ok` of the scripts.
#
# Where ftrace can be switched off (Linux 7.2 and before), test-ftrace.sh begins with that, and
# livepatch.ko forbids it from the beginning: whether it does is tested in its place.
#
#   upstream.sh [SCRIPT...]     the scripts; all eight, if none is given

. "$(dirname "$0")/../../scripts/lib.sh"

VARIANT=${VARIANT:-plain}
[ -z "${PEER:-}" ] || VARIANT=peer
if [ "${1:-}" = --build ]; then
	# In the tree there is no environment to find them by.
	VARIANT=$2 KOBJ=$3 MODULES=$4
else
	KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
	MODULES=$("$TOP/tools/testing/modules.sh" "$VARIANT")
	MODULES=${MODULES%%:*}
fi
SUITE=$(readlink -f "$KOBJ/source")/tools/testing/selftests/livepatch
OUT=$MODULES/upstream
STAGE=$CACHE/tmp/upstream-$(basename "$MODULES")

build() {
	local args flags=()
	read -ra args <<<"$(kmake_args "$VARIANT")"
	if [ "$VARIANT" != peer ]; then
		flags=("NOSTDINC_FLAGS=-nostdinc -I$TOP/include" "KBUILD_EXTRA_SYMBOLS=$MODULES/Module.symvers")
	fi
	mkdir -p "$OUT"
	make -C "$KOBJ" M="$SUITE/test_modules" MO="$OUT" "${args[@]}" "${flags[@]}" -j"$JOBS" modules
	"$(cross)gcc" -static -O2 -o "$OUT/test_klp-call_getpid" "$SUITE/test_klp-call_getpid.c"
}

if [ "${1:-}" = --build ]; then
	build
	exit
fi

PROGRESS=60 step "mainline's selftest modules for $ARCH $VARIANT" "30 s" \
	"$TOP/scripts/enter" "$0" --build "$VARIANT" "$KOBJ" "$MODULES"

rm -rf "$STAGE"
mkdir -p "$STAGE/upstream/test_modules"
cp "$SUITE"/*.sh "$OUT/test_klp-call_getpid" "$STAGE/upstream/"
cp "$OUT"/*.ko "$STAGE/upstream/test_modules/"
cp "$MODULES/livepatch.ko" "$STAGE/upstream/"
# These tests trace all functions of the kernel, which writes tens of thousands of breakpoints.
[ "$ARCH" != x86_64 ] || cp "$MODULES/selftests/klp_test_int3.ko" "$STAGE/upstream/"

# The scripts of the suite, in the order of its Makefile.
scripts=("$@")
[ ${#scripts[@]} -gt 0 ] || scripts=(test-livepatch.sh test-callbacks.sh test-shadow-vars.sh
	test-state.sh test-ftrace.sh test-sysfs.sh test-syscall.sh test-kprobe.sh)

cat >"$STAGE/upstream/run" <<'END'
cd /upstream
# With it, the guest survives the emulator's traps.
INT3=/sys/module/klp_test_int3/parameters/report
[ ! -e klp_test_int3.ko ] || insmod klp_test_int3.ko || exit
if [ -e /sys/kernel/livepatch ]; then
	# The C core is there, and livepatch.ko has to say so.
	insmod livepatch.ko 2>/dev/null && echo "TEST: livepatch.ko beside the C core ... not ok"
	dmesg | grep -q 'has CONFIG_LIVEPATCH: .* livepatch.ko is not needed' ||
		echo "TEST: livepatch.ko says that it is not needed ... not ok"
	dmesg -C
else
	sysctl -q kernel.ftrace_enabled=0 2>/dev/null
	can_switch_off=$((1 - $(sysctl -n kernel.ftrace_enabled)))
	sysctl -q kernel.ftrace_enabled=1
	# As late as the C core does: some tests compare the log of a transition that waits.
	insmod livepatch.ko debug=1 signal_after=15000 || exit 1
fi
for script; do
	if [ "$script" = test-ftrace.sh ] && [ "${can_switch_off:-0}" = 1 ]; then
		result='not ok'
		[[ $(sysctl -q kernel.ftrace_enabled=0 2>&1) != *"Device or resource busy" ]] ||
			[ "$(sysctl -n kernel.ftrace_enabled)" = 0 ] || result=ok
		echo "TEST: ftrace cannot be switched off while livepatch.ko is there ... $result"
		continue
	fi
	timeout 300 bash "./$script" || echo "$script: exit status $?"
done
[ ! -e $INT3 ] || grep -q ' single 0 ' $INT3 ||
	echo "TEST: breakpoint traps that nobody claimed: $(cat $INT3) ... not ok"
if dmesg | grep -E -f /.vm/kernel-bugs; then
	echo "TEST: kernel log ... not ok"
fi
END

log=$CACHE/log/upstream-$ARCH-$VARIANT-$(key "$TOP").txt
say "mainline's selftests on the $ARCH $VARIANT kernel (about 2 min)"
status=0
"$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" --overlay "$STAGE" --timeout "${TIMEOUT:-900}" \
	-- bash /upstream/run "${scripts[@]}" | tee "$log" || status=$?

passed=$(grep -c '^TEST: .*\.\.\. ok$' "$log" || true)
failed=$(grep -c '^TEST: .*not ok' "$log" || true)
# A script that ended early has not said what it did not run.
early=$(grep -c ': exit status ' "$log" || true)
[ "$failed" -ge "$early" ] || failed=$early
[ "$status" -eq 0 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
