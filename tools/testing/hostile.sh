#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Insert N damaged livepatches (klp-mutate) into a kernel, by default the one with KASAN.
# SEED= chooses which; without it a seed is drawn, and told. Each must be refused, or do
# what the undamaged one does, and the kernel's log must show no sign of a bug. After a
# file that crashes the guest, or that the kernel's log tells a bug of, the rest goes on in
# a new one: a guest is booted once, and kept in the state right before the first file.
#
#	N=n SEED=s	how many, and which
#	VARIANT=v	the kernel: kasan (default on x86_64), plain (on s390), lockdep
#	PEER=1		on the C core, for comparison
#	CONTROL=1	with the mark of a livepatch taken off, and without livepatch.ko:
#			what the kernel's own loader does with the same files
#	FIRST=n		the number of the first one
#
# Ends with `N passed, N failed`, one for each that was inserted. Those that failed, and the
# kernel's log of them, are kept in $LIVEPATCH_CACHE/hostile.

. "$(dirname "$0")/../../scripts/lib.sh"

N=${N:-3000}
RUN=${SEED:-drawn}
SEED=${SEED:-$SRANDOM}
FIRST=${FIRST:-1}
[[ $N =~ ^[0-9]+$ && $SEED =~ ^[0-9]+$ && $FIRST =~ ^[0-9]+$ ]] || die "N, SEED and FIRST are whole numbers"
if [ -z "${VARIANT:-}" ]; then
	[ "$ARCH" = x86_64 ] && VARIANT=kasan || VARIANT=plain
fi
if [ -n "${PEER:-}" ]; then
	case $VARIANT in
	kasan) VARIANT=kasan-peer ;;
	plain) VARIANT=peer ;;
	*) die "there is no kernel with the C core and what $VARIANT has" ;;
	esac
fi
MODE=ours
[ -z "${PEER:-}" ] || MODE=peer
[ -z "${CONTROL:-}" ] || MODE=control
# In the tree there is no environment to read it from.
HOSTILE=$TOP/tools/testing/hostile

# build_peer KOBJ VARIANT OUT: the livepatches in C, for the C core.
build_peer() {
	local args dir
	read -ra args <<<"$(kmake_args "$2")"
	for dir in samples/{cmdline,meminfo,module-target} tools/testing/selftests/livepatch/test_modules; do
		mkdir -p "$3/${dir##*/}"
		make -C "$TOP/$dir" "${args[@]}" LIVEPATCH="$TOP" KDIR="$1" MO="$3/${dir##*/}" KLP="$KLP" \
			LIVEPATCH_SYMVERS=/nonexistent -j"$JOBS"
	done
}

# keep OUT SEED NUMBER FILE...: one damaged livepatch as a file, in the tree.
keep() {
	"$("$TOP/scripts/cargo" --directory)/klp-mutate" --seed "$2" --count 1 --first "$3" -o "$1" "${@:4}"
}

# build OUT KOBJ VARIANT MODE SEED N FIRST FILE...: in the tree.
build() {
	local args out=$1 kobj=$2 variant=$3 mode=$4 seed=$5 n=$6 first=$7
	shift 7
	mkdir -p "$out/hostile" "$out/usr/bin"
	"$(cross)gcc" -static -O2 -Wall -Wextra -o "$out/usr/bin/klp_hostile" "$HOSTILE/run.c"
	if [ "$mode" = control ]; then
		read -ra args <<<"$(kmake_args "$variant")"
		mkdir -p "$out.control"
		make -C "$kobj" M="$HOSTILE/control" MO="$out.control" "${args[@]}" modules
		cp "$out.control/klp_control.ko" "$out/hostile/"
	fi
	"$TOP/scripts/cargo" build --workspace --bin klp-mutate
	args=()
	case $mode in
	control) args=(--control) ;;
	peer) args=(--survived) ;;
	esac
	"$("$TOP/scripts/cargo" --directory)/klp-mutate" --seed "$seed" --count "$n" --first "$first" --pack \
		"${args[@]}" -o "$out/hostile/mutants" "$@"
}

case "${1:-}" in
--build)
	build "${@:2}"
	exit
	;;
--keep)
	keep "${@:2}"
	exit
	;;
--build-peer)
	build_peer "${@:2}"
	exit
	;;
esac

KOBJ=$("$TOP/scripts/kernel.sh" "$VARIANT")
if [ "$MODE" = peer ]; then
	OUT=$CACHE/modules/$(basename "$KOBJ")-$(key "$TOP")/hostile
	KLP=$("$TOP/scripts/klp.sh")
	locked "tests-$(basename "$KOBJ")" step "livepatches for the C core, $ARCH $VARIANT" "1 min" \
		"$TOP/scripts/enter" env KLP="$KLP" "$0" --build-peer "$KOBJ" "$VARIANT" "$OUT"
	bases=("$OUT"/{cmdline,meminfo,module-target}/livepatch-*.ko "$OUT"/test_modules/klp_test_{late,positions}.ko)
	targets=("$OUT/module-target/klp_target.ko" "$OUT/test_modules/klp_test_target.ko")
else
	MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
	OUT=${MODULES_DIR%%:*}
	bases=("$OUT"/samples/{cmdline,meminfo,module-target}/livepatch-*.ko
		"$OUT"/samples/rust/{cmdline,meminfo}/livepatch-*.ko
		"$OUT"/selftests/klp_test_{late,draft,positions}.ko)
	targets=("$OUT/samples/module-target/klp_target.ko" "$OUT/selftests/klp_test_target.ko")
fi
STAGE=$CACHE/tmp/hostile-$(basename "$KOBJ")-$(key "$TOP")-$MODE-$SEED
LOG=$CACHE/log/hostile-$ARCH-$VARIANT-$MODE-$RUN-$(key "$TOP")
KEPT=$CACHE/hostile/$ARCH-$VARIANT-$MODE-$SEED
trap 'rm -rf "$STAGE" "$STAGE.control" "$STAGE.guest"' EXIT
rm -rf "$STAGE" "$STAGE.control" "$STAGE.guest"
mkdir -p "$STAGE/hostile"
[ "$MODE" != ours ] || cp "$OUT/livepatch.ko" "$STAGE/hostile/"
cp "${targets[@]}" "$STAGE/hostile/"
PROGRESS=30 locked "hostile-$(key "$TOP")" step "$N damaged livepatches, seed $SEED" "1 min when new" "$TOP/scripts/enter" \
	"$0" --build "$STAGE" "$KOBJ" "$VARIANT" "$MODE" "$SEED" "$N" "$FIRST" "${bases[@]}"
MANIFEST=$STAGE/hostile/mutants/MANIFEST
cp "$MANIFEST" "$LOG.manifest"

cat >"$STAGE/hostile/run" <<'END'
cd /hostile
for module in livepatch klp_control klp_target klp_test_target; do
	[ ! -e $module.ko ] || insmod $module.ko || exit 1
done
hooks=$(cat /sys/kernel/tracing/enabled_functions)
asked=$(/.vm/pause) || exit
klp_hostile mutants $asked || exit
echo "hostile: the end" >/dev/kmsg
[ "$(cat /sys/kernel/tracing/enabled_functions)" = "$hooks" ] ||
	echo "PROBLEM 0: functions are still redirected: $(cat /sys/kernel/tracing/enabled_functions)"
for module in klp_test_target klp_target klp_control livepatch; do
	[ ! -e $module.ko ] || rmmod $module || echo "PROBLEM 0: $module cannot be removed"
done
[ -z "$(cat /proc/modules)" ] || echo "PROBLEM 0: modules are left: $(cat /proc/modules)"
leaks=$(/.vm/leaks)
[ -z "$leaks" ] || echo "PROBLEM 0: memory leaks: $leaks"
bugs=$(dmesg --notime | sed '1,/hostile: the end/d' | grep -E -f /.vm/kernel-bugs)
[ -z "$bugs" ] || echo "PROBLEM 0: the kernel's log: $bugs"
echo complete
END

# vm OPTION... -- COMMAND...: with the guest's kernel. Every fault is reported, not only
# the first; a warning does not end the run, but a processor that is stuck does.
vm() {
	"$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" --append "kasan_multi_shot sysctl.kernel.panic_on_rcu_stall=1" \
		--timeout "${TIMEOUT:-7200}" --silence 300 "$@"
}

# told MUTANT WHAT CLASS: what is wrong with one, once.
declare -A CLASS=()
told() {
	[ -z "${CLASS[$1]:-}" ] || [ "$1" -eq 0 ] || return 0
	CLASS[$1]=$3
	echo "mutant $1: $2"
	awk -F'\t' -v n="$1" '$1 == n { print "    " $2 ", to be " $3 ": " $4 }' "$MANIFEST"
}

say "inserting $N damaged livepatches on the $ARCH $VARIANT kernel ($MODE), seed $SEED"
start=$SECONDS
vm --overlay "$STAGE" --console-log "$LOG-boot.console" --save "$STAGE.guest" -- bash /hostile/run ||
	die "the guest does not come to the first; the kernel's log is $LOG-boot.console"
next=$FIRST
guests=0
: >"$LOG.txt"
rm -f "$LOG"-[0-9]*.console
while :; do
	guests=$((guests + 1))
	status=0
	vm --console-log "$LOG-$guests.console" --restore "$STAGE.guest" -- \
		"$next" "$([ "$MODE" != control ] || echo control)" >"$LOG.part" 2>"$LOG.error" || status=$?
	cat "$LOG.part" >>"$LOG.txt"
	while read -r number text; do
		case $text in
		"the kernel's log"*) class=bug ;;
		"it was loaded, but had"*) class=damaged ;;
		*) class=other ;;
		esac
		told "${number%:}" "$text" "$class"
	done < <(sed -n 's/^PROBLEM //p' "$LOG.part")
	! grep -qx complete "$LOG.part" || break
	[ "$status" -lt 128 ] || die "interrupted, in the guest or from outside (status $status)"
	# The last one that was begun is the one that did it.
	culprit=$(grep -ao 'hostile: mutant [0-9]*' "$LOG-$guests.console" | tail -n 1 | grep -o '[0-9]*$' || true)
	if [ -z "$culprit" ] || [ "$guests" -ge "${GUESTS:-1000}" ]; then
		tail -n 45 "$LOG.error" >&2
		die "the guest does not come to its end; the kernel's log is $LOG-$guests.console"
	fi
	if [ -z "${CLASS[$culprit]:-}" ]; then
		told "$culprit" "the guest ended with it (status $status); the kernel's log is $LOG-$guests.console" \
			"$([ "$status" -eq 124 ] && echo hung || echo crashed)"
		grep -aE -m 4 -f <(grep -v '^#' "$TOP/tools/testing/kernel-bugs") "$LOG-$guests.console" |
			tr -d '\r' | sed 's/^/    | /' || true
	fi
	next=$((culprit + 1))
	[ "$next" -lt $((FIRST + N)) ] || break
done

count() { awk -F'\t' -v what="$1" '$2 == what { n++ } END { print n + 0 }' "$LOG.txt"; }
# class NAME: how many were of that class.
class() { printf '%s\n' "${CLASS[@]}" | grep -cx "$1" || true; }
say "loaded $(count loaded), refused by us $(count ours), refused by the kernel $(count kernel);" \
	"$guests guests, $(elapsed $((SECONDS - start))); what became of each is in $LOG.txt"
[ "${#CLASS[@]}" -eq 0 ] || say "the guest crashed $(class crashed), stood still $(class hung)," \
	"went on with a bug in its log $(class bug), loaded what is damaged $(class damaged), other $(class other)"
for number in $(printf '%s\n' "${!CLASS[@]}" | sort -n); do
	[ "$number" -ne 0 ] || continue
	[ -d "$KEPT" ] || say "what failed is kept in $KEPT"
	mkdir -p "$KEPT/$number"
	"$TOP/scripts/enter" "$0" --keep "$KEPT/$number" "$SEED" "$number" "${bases[@]}"
	cp "$LOG"-[0-9]*.console "$KEPT/"
done
total=$(wc -l <"$MANIFEST")
# What is wrong before or after all of them counts as one more.
failed=${#CLASS[@]}
passed=$((total - failed))
[ -z "${CLASS[0]:-}" ] || passed=$((passed + 1))
seen=$(($(count loaded) + $(count ours) + $(count kernel)))
[ $((seen + failed)) -ge "$total" ] || die "only $seen of $total were tried"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
