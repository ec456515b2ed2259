#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Livepatches that were not made with what is here: as mainline's klp-build makes them, from
# the kernel source with its own objtool and init.c; with the sections of kpatch-build's; and
# by the kernel's build system alone. They load, work and unload with livepatch.ko and on the
# C core, and klp lint has nothing to say against them. Ends with `N passed, N failed`.
#
#   others.sh [VARIANT...]     plain and peer, if none is given

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/parts.sh"
. "$TOP/tools/testing/verdict.sh"

TESTS=$TOP/tools/testing/selftests/others
VARIANTS=("${@:-plain}")
[ $# -gt 0 ] || VARIANTS+=(peer)

SRC=$("$TOP/scripts/source.sh")
KLP=$("$TOP/scripts/klp.sh")
SCRIPTS=(test-kpatch.sh test-alone.sh)
OBJTOOL=
# The only one of ours that objtool klp is for.
if [ "$ARCH" = x86_64 ]; then
	SCRIPTS+=(test-mainline.sh)
	OBJTOOL=$("$TOP/tools/testing/others/objtool.sh")
fi

# build VARIANT: prints where the modules are, and livepatch.ko. Called in a condition, where a
# command that fails ends nothing by itself.
build() {
	local modules kobj symvers=
	modules=$("$TOP/scripts/modules.sh" "$1") && kobj=$("$TOP/scripts/kernel.sh" "$1") || return
	[ "$1" = peer ] || symvers=$modules/Module.symvers
	locked "others-$(basename "$modules")" step "what others build, for $ARCH $1" "20 s" \
		"$TOP/scripts/enter" env OUT="$modules/others" KOBJ="$kobj" VARIANT="$1" SRC="$SRC" \
		SYMVERS="$symvers" OBJTOOL="$OBJTOOL" KLP="$KLP" "$TOP/tools/testing/others/build.sh" || return
	echo "$modules:$modules/others:$modules/others/damaged"
}

# lint VARIANT DIRECTORY: a result for each livepatch: there must be nothing against it, or, if it is
# damaged, something.
lint() {
	local kobj file wanted output status passed=0 failed=0 symvers=()
	kobj=$("$TOP/scripts/kernel.sh" "$1")
	[ "$1" = peer ] || symvers=(--symvers "${2%/*}/Module.symvers")
	for file in "$2"/*.ko "$2"/damaged/*.ko; do
		# There is none that is damaged on s390; the target is no livepatch.
		[ -e "$file" ] || continue
		[ "${file##*/}" != klp_others_target.ko ] || continue
		wanted=0 status=0
		[[ $file != */damaged/* ]] || wanted=1
		output=$("$TOP/scripts/enter" "$KLP" lint --kernel "$kobj/vmlinux" \
			--symvers "$kobj/Module.symvers" "${symvers[@]}" \
			--module "$2/klp_others_target.ko" "$file" 2>&1) || status=$?
		count $((status != wanted)) "klp lint ${file##*/}: status $status, to be $wanted"
		echo "# ${output//$'\n'/$'\n'# }"
	done
	conclude
}

for variant in "${VARIANTS[@]}"; do
	if ! MODULES_DIR=$(build "$variant"); then
		record "others-build-$ARCH-$variant" 0 1 0
		continue
	fi
	export MODULES_DIR
	part "others-lint-$ARCH-$variant" lint "$variant" "${MODULES_DIR%%:*}/others"
	part "others-$ARCH-$variant" "$TOP/tools/testing/selftests.sh" --variant "$variant" \
		--tests "$TESTS" "${SCRIPTS[@]}"
done
totals
