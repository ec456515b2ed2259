#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# klp build, for a kernel of ours: fixes of the kernel's own source, which are made here as
# diffs of it, become livepatches that are loaded, work and are unloaded; others are refused, each
# with its reason. Ends with `N passed, N failed`.
#
#   build.sh [VARIANT...]     plain, if none is given

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/parts.sh"
. "$TOP/tools/testing/verdict.sh"

VARIANTS=("${@:-plain}")
SRC=$("$TOP/scripts/source.sh")
KLP=$("$TOP/scripts/klp.sh")

# fix NAME FILE SED...: a diff that changes FILE of the kernel's source as sed does, added to
# $WORK/NAME.patch.
fix() {
	local name=$1 file=$2 status=0
	shift 2
	mkdir -p "$WORK/edit"
	sed -E "$@" "$SRC/$file" >"$WORK/edit/after"
	diff -u --label "a/$file" --label "b/$file" "$SRC/$file" "$WORK/edit/after" >>"$WORK/$name.patch" || status=$?
	[ "$status" -eq 1 ] || die "the fix $name changes nothing in $file"
}

# klp_build VARIANT ARGUMENT...
klp_build() {
	local kobj modules
	kobj=$("$TOP/scripts/kernel.sh" "$1")
	modules=$("$TOP/scripts/modules.sh" "$1")
	BIND=$WORK "$TOP/scripts/enter" "$KLP" build --kdir "$kobj" --symvers "$modules/Module.symvers" \
		-o "$WORK/out/" -j "$JOBS" "${@:2}"
}

# builds VARIANT NAME [ARGUMENT...]: a livepatch comes of the fix.
builds() {
	local status=0 start=$SECONDS
	klp_build "$1" --name "$2" "${@:3}" "$WORK/$2.patch" >"$WORK/said" 2>&1 || status=$?
	count "$status" "$2 is built ($((SECONDS - start)) s)"
	sed 's/^/# /' "$WORK/said"
}

# refuses VARIANT NAME WORDS [ARGUMENT...]: none comes of it, for that reason, and nothing is left.
refuses() {
	local status=0
	klp_build "$1" --name "$2" "${@:4}" "$WORK/$2.patch" >"$WORK/said" 2>&1 || status=$?
	if [ "$status" -eq 1 ] && grep -qF "$3" "$WORK/said" && [ ! -e "$WORK/out/livepatch-$2.ko" ]; then
		count 0 "$2 is refused"
	else
		count 1 "$2 is refused, with status 1: $status, and: $3"
	fi
	sed 's/^/# /' "$WORK/said"
}

fixes() {
	# A string, which is a constant of the file.
	fix meminfo fs/proc/meminfo.c 's/"MemTotal:       "/"MEMTOTAL:       "/'
	# What has entries in tables: a warning, a message with a level, a static variable.
	fix cmdline fs/proc/cmdline.c '/^static int cmdline_proc_show/,/^}/ {
		s/^\{/{\n\tstatic unsigned int reads;\n\n\tWARN_ONCE(!m, "no file");\n\tpr_info_once("klp build was here\\n");\n\tseq_printf(m, "%u ", ++reads);/ }'
	# Two files, one livepatch.
	fix two fs/proc/uptime.c '/^static int uptime_proc_show/,/^}/ s/"%lu\.%02lu %lu\.%02lu\\n"/"up %lu.%02lu %lu.%02lu\\n"/'
	fix two fs/proc/loadavg.c '/^static int loadavg_proc_show/,/^}/ s/seq_printf\(m, "/seq_printf(m, "load /'
	# A header: of the files that include it, those are patched in which that shows.
	fix header include/linux/sched/loadavg.h 's/^#define LOAD_INT\(x\) .*/#define LOAD_INT(x) (((x) >> FSHIFT) + 1000)/'
	# What cannot be done.
	fix init fs/proc/cmdline.c 's/proc_create_single\("cmdline"/proc_create_single("CMDLINE"/'
	fix data kernel/ksysfs.c '/define KERNEL_ATTR_RO\(_name\)/,/__ATTR_RO/ s/__ATTR_RO\(_name\)/__ATTR(_name, 0400, _name##_show, NULL)/'
	fix broken fs/proc/cmdline.c 's/seq_putc\(m, .*\);/seq_putc(m, no_such_thing);/'
	sed 's/MemTotal/MemNothing/' "$WORK/meminfo.patch" >"$WORK/astray.patch"
	fix makefile fs/proc/Makefile '$ s/$/\n# more/'
}

build() {
	local variant=$1
	builds "$variant" meminfo
	builds "$variant" cmdline
	builds "$variant" two
	builds "$variant" header
	refuses "$variant" init "is not used any more"
	refuses "$variant" data "its contents change"
	refuses "$variant" broken "does not compile"
	refuses "$variant" astray "does not apply"
	refuses "$variant" makefile "Makefile"
	# What is there is not of this kernel.
	refuses "$variant" meminfo-nowhere "no source" --source "$WORK"
	left=$(find "$WORK/out" -mindepth 1 ! -name 'livepatch-*.ko')
	count "$([ -z "$left" ] && echo 0 || echo 1)" "nothing else is left: $left"
	totals_line
}

totals_line() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

for variant in "${VARIANTS[@]}"; do
	export VARIANT=$variant
	modules=$("$TOP/tools/testing/modules.sh" "$variant") || exit
	WORK=$CACHE/tmp/build-$ARCH-$variant-$(key "$TOP")
	rm -rf "$WORK"
	mkdir -p "$WORK/out"
	fixes
	part "build-fixes-$ARCH-$variant" build "$variant"
	MODULES_DIR=$modules:$WORK/out part "build-guest-$ARCH-$variant" "$TOP/tools/testing/selftests.sh" \
		--variant "$variant" --tests "$TOP/tools/testing/selftests/build"
	rm -rf "$WORK"
done
totals
