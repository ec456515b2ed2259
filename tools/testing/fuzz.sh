#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fuzz rust/format, tools/klp/kernel, klp-diff and the proof of klp build on the host: every
# target of tools/klp/fuzz, one after the other, for MINUTES in all (SECONDS_EACH= for each).
# Starts from the seeds in the repository, from the modules that are built, from small kernels that
# are made here, and from what earlier runs have found, which stays in the cache. Prints the
# executions of each target, and ends with `N passed, N failed`.
#
#   fuzz.sh [TARGET...]
#   fuzz.sh --targets     only builds them

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

FUZZ=$TOP/tools/klp/fuzz
MINUTES=${MINUTES:-5}
[[ $MINUTES =~ ^[0-9]+$ && ${SECONDS_EACH:-0} =~ ^[0-9]+$ ]] || die "MINUTES is a whole number"
TARGETS=("$@")
[ $# -gt 0 ] || mapfile -t TARGETS < <(cd "$FUZZ/targets" && printf '%s\n' *.rs | sed 's/\.rs$//')
EACH=${SECONDS_EACH:-$((MINUTES * 60 / ${#TARGETS[@]}))}
[ "$EACH" -gt 0 ] || die "less than a second for each of ${#TARGETS[@]} targets"

TARGET=$(cargo_target)/fuzz
TRIPLE=$(rust_target "$(uname -m)")
# Longer inputs find little more, and slowly. Of whole files the samples should fit; on
# s390x a boot image says far behind its start that it is one.
LENGTH=4096
FILE_LENGTH=18432
KERNEL_LENGTH=81920
# Kernels as inputs.
KERNELS=$CACHE/fuzz/kernels

# build: what cargo-fuzz asks of the compiler, but for its sanitizers: they look for
# faults of unsafe code, and there is none. The instrumentation is an unstable option.
build() {
	RUSTC_BOOTSTRAP=1 CXX=clang++ CARGO_TARGET_DIR=$TARGET \
		RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
			-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
			-Cllvm-args=-sanitizer-coverage-pc-table \
			-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing" \
		cargo build --release --locked --target "$TRIPLE" --manifest-path "$FUZZ/Cargo.toml"
	rm -rf "$KERNELS"
	"$TOP/scripts/cargo" build --workspace --example kernels
	"$("$TOP/scripts/cargo" --directory)/examples/kernels" "$KERNELS"
}

case "${1:-}" in
--build)
	build
	exit
	;;
--targets) TARGETS=() ;;
esac

PROGRESS=30 locked "fuzz-$(key "$TOP")" step "fuzz targets" "5 min when new" "$TOP/scripts/enter" "$0" --build
[ "${#TARGETS[@]}" -gt 0 ] || exit 0
BINARIES=$TARGET/$TRIPLE/release

# Modules as inputs: those of the samples, which are small, and one of objtool's making, of all
# kernels that are there.
modules() {
	local file number=0
	while IFS= read -r file; do
		number=$((number + 1))
		# It may be built anew just now.
		cp "$file" "$1/module-$number" || [ ! -e "$file" ]
	done < <(find "$CACHE/modules" \( -path '*/samples/*' -name 'livepatch-*.ko' -o -name klp_others_fix.ko \) \
		-size -$((FILE_LENGTH / 1024))k 2>/dev/null)
}

for target in "${TARGETS[@]}"; do
	[ -e "$FUZZ/targets/$target.rs" ] || die "there is no target $target in $FUZZ/targets"
	log=$CACHE/log/fuzz-$target-$(key "$TOP").txt
	corpus=$CACHE/fuzz/$target
	seeds=$CACHE/fuzz/seeds-$target
	artifacts=$CACHE/fuzz/artifacts-$target
	rm -rf "$seeds"
	mkdir -p "$corpus" "$seeds" "$artifacts"
	length=$LENGTH
	case "$target" in
	image)
		length=$FILE_LENGTH
		modules "$seeds"
		;;
	kernel)
		length=$KERNEL_LENGTH
		cp "$KERNELS"/* "$seeds"
		;;
	diff | proof)
		length=$FILE_LENGTH
		;;
	esac
	[ ! -d "$FUZZ/seeds/$target" ] || cp "$FUZZ/seeds/$target"/* "$seeds"
	status=0
	"$TOP/scripts/enter" "$BINARIES/$target" "$corpus" "$seeds" -max_total_time="$EACH" -max_len="$length" \
		-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$artifacts/" >"$log" 2>&1 || status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	[ "${runs:-0}" -gt 0 ] || status=1
	count "$status" "$target: ${runs:-no} executions"
	[ "$status" -ne 0 ] || continue
	echo "# the log is $log, the input in $artifacts"
	# It may say neither.
	grep -aE -A 3 'panicked|ERROR' "$log" | head -n 20 | sed 's/^/# /' || true
done
conclude
