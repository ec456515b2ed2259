#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Measure livepatch.ko beside mainline's C core, in executed instructions. Ends with
# `N passed, N failed`: figures that are about as good as the recorded ones, and those
# that are worse. Documentation/livepatch/performance.md says what is measured, and how.
#
#   QUICK=1         fewer points, once
#   RECORD=1        these figures are what later ones are compared with, and what the
#                   document shows
#   RUNS=n          how often everything is measured (default 3)
#   CORES=ours      without the C core
#   VARIANT=debian  on kernels with Debian's configuration (x86_64)
#   PROFILE=LABEL   nothing but one measurement, by function, of livepatch.ko or, with
#                   CORE=peer, of the C core. The labels are in the files `output` of a run
#   TIMEOUT=s       for each boot (default 1800)

. "$(dirname "$0")/../../scripts/lib.sh"

BENCH=$TOP/tools/testing/bench
VARIANT=${VARIANT:-plain}
case $VARIANT in plain | debian) ;; *) die "VARIANT is plain or debian" ;; esac
NAME=$ARCH
[ "$VARIANT" = plain ] || NAME+=-$VARIANT
OUT=$CACHE/bench/$NAME-$(key "$TOP")
LABEL=${PROFILE:-}
read -ra CORES <<<"${CORES:-ours peer}"
[ -z "$LABEL" ] || CORES=("${CORE:-ours}")
RUNS=${RUNS:-$([ -n "${QUICK:-}$LABEL" ] && echo 1 || echo 3)}
[[ $RUNS =~ ^[1-9][0-9]*$ ]] || die "RUNS is a number"
[ -z "${QUICK:-}" ] || [ -z "${RECORD:-}" ] || die "what is recorded is a complete run: no QUICK with RECORD"

# variant CORE: the kernel that it is measured on.
variant() {
	case "$1" in
	ours) echo "$VARIANT" ;;
	peer) [ "$VARIANT" = plain ] && echo peer || echo "$VARIANT-peer" ;;
	*) die "there is no core $1: ours or peer" ;;
	esac
}

# build_tools DIR: the program of the guest, what counts, and what reads the counts.
build_tools() {
	"$TOP/scripts/cargo" build --workspace --bin livepatch-bench
	mkdir -p "$1"
	cp "$("$TOP/scripts/cargo" --directory)/livepatch-bench" "$1/"
	gcc -shared -fPIC -O2 -Wall -Wextra -Werror -fvisibility=hidden -o "$1/counter.so" "$BENCH/counter.c"
	# At low addresses: by these the counter knows it.
	"$(cross)gcc" -static -no-pie -O2 -Wall -Wextra -Werror -o "$1/runner" "$BENCH/runner.c"
}

# build_modules VARIANT KOBJ MODULES: unconverted, as they use nothing unexported.
build_modules() {
	local args flags=()
	read -ra args <<<"$(kmake_args "$1")"
	[[ $1 == *peer ]] ||
		flags=("NOSTDINC_FLAGS=-nostdinc -I$TOP/include" "KBUILD_EXTRA_SYMBOLS=$3/Module.symvers")
	mkdir -p "$3/bench"
	make -C "$2" M="$BENCH/modules" MO="$3/bench" "${args[@]}" "${flags[@]}" -j"$JOBS" modules
}

case "${1:-}" in
--build-tools)
	build_tools "$2"
	exit
	;;
--build-modules)
	shift
	build_modules "$@"
	exit
	;;
esac

# offset CORE: what is added to the addresses in System.map when that kernel starts: the same each
# time, as it does not choose one at random.
offset() {
	local file line
	file=$CACHE/bench/nokaslr-$(basename "$KOBJ")
	if [ ! -e "$file" ]; then
		line=$("$TOP/tools/testing/vm/run.sh" --variant "$(variant "$1")" \
			--append nokaslr -- 'grep -m 1 " _stext$" /proc/kallsyms')
		echo $((16#${line%% *} - 16#$(awk '$3 == "_stext" { print $1 }' "$MAP"))) >"$file.new"
		mv "$file.new" "$file"
	fi
	cat "$file"
}

# range FUNCTION: its first address in the running kernel, and that of what comes next.
range() {
	local start end
	read -r start end < <(LC_ALL=C sort "$MAP" | awk -v name="$1" '
		start && !end && $1 != start { end = $1 }
		$3 == name { start = $1 }
		END { print start, end }')
	[ -n "$end" ] || die "$MAP has no $1"
	printf '%x-%x\n' $((16#$start + OFFSET)) $((16#$end + OFFSET))
}

# run CORE NUMBER: boots the kernel and measures.
run() {
	local core=$1 dir=$OUT/$1-$2 stage plugin stop stopper
	stage=$CACHE/tmp/bench-$(basename "$OUT")-$core
	rm -rf "$dir" "$stage"
	mkdir -p "$dir" "$stage/bench"
	cp "$OUT/tools/runner" "$stage/bench/"
	[ "$core" = peer ] || cp "$MODULES/livepatch.ko" "$stage/bench/"
	"$TOP/scripts/enter" "$OUT/tools/livepatch-bench" prepare --core "$core" ${QUICK:+--quick} \
		--modules "$MODULES/bench" "${MAPS[@]/#/--system-map=}" ${LABEL:+--only "$LABEL"} "$stage/bench"

	stop=$(range multi_cpu_stop)
	stopper=$(range cpu_stopper_thread)
	plugin=$OUT/tools/counter.so,out=$dir/counts,stop=${stop%-*},stopper=$stopper${LABEL:+,profile=on}
	# Nothing that goes to the console: it costs more than what is measured.
	ACCEL=tcg,thread=single "$TOP/tools/testing/vm/run.sh" --variant "$(variant "$core")" \
		--overlay "$stage" --append nokaslr --smp 1 --mem 2048 --timeout "${TIMEOUT:-1800}" \
		--console-log "$dir/console" --qemu-args "-icount shift=0,sleep=off -plugin $plugin" \
		-- 'dmesg -n 1; cd /bench && ./runner plan || { dmesg | tail -n 20 >/dev/console; exit 1; }' >"$dir/output" ||
		die "$core, run $2: $(tail -n 1 "$dir/output") ($dir/console)"
	rm -rf "$stage"
}

measure() {
	local core number
	for core in "${CORES[@]}"; do
		MODULES=$("$TOP/scripts/modules.sh" "$(variant "$core")")
		KOBJ=$("$TOP/scripts/kernel.sh" "$(variant "$core")")
		MAP=$KOBJ/System.map
		OFFSET=$(offset "$core")
		step "modules to measure, $NAME $core" "20 s" "$TOP/scripts/enter" "$0" \
			--build-modules "$(variant "$core")" "$KOBJ" "$MODULES"
		for number in $(seq "$RUNS"); do
			say "$NAME $core, run $number of $RUNS (about $([ -n "${QUICK:-}$LABEL" ] && echo 1 || echo 4) min)"
			run "$core" "$number"
		done
	done
}

mkdir -p "$OUT"
PROGRESS=60 step "what measures" "2 min when new" "$TOP/scripts/enter" "$0" --build-tools "$OUT/tools"
# The same symbols for both.
MAPS=()
for core in "${CORES[@]}"; do
	MAPS+=("$("$TOP/scripts/kernel.sh" "$(variant "$core")")/System.map")
done
measure

if [ -n "$LABEL" ]; then
	"$TOP/scripts/enter" "$OUT/tools/livepatch-bench" profile --system-map "$MAP" \
		--offset="$OFFSET" --run "$OUT/${CORES[0]}-1" "$LABEL"
	exit
fi

arguments=(--name "$NAME" ${QUICK:+--quick} ${RECORD:+--record})
for core in "${CORES[@]}"; do
	for number in $(seq "$RUNS"); do
		arguments+=("--$core" "$OUT/$core-$number")
	done
done
say "figures and curves are in $OUT"
"$TOP/scripts/enter" "$OUT/tools/livepatch-bench" report "${arguments[@]}" \
	--recorded "$BENCH/recorded.json" --document "$TOP/Documentation/livepatch/performance.md" \
	--subject "$(date -u +%F), Linux $(<"$(dirname "${MAPS[0]}")/include/config/kernel.release") on $ARCH, $RUNS runs." "$OUT"
