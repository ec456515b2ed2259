#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# klp build, for a kernel of ours: fixes of the kernel's own source, which are made here as
# diffs of it, become livepatches that are loaded, work and are unloaded; others are refused, each
# with its reason. The same for modules that are not in that source. A build that a signal ends
# leaves nothing behind. Ends with `N passed, N failed`.
#
#   build.sh [VARIANT...]     plain, if none is given

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/parts.sh"
. "$TOP/tools/testing/verdict.sh"
. "$TOP/tools/testing/build-ended.sh"

VARIANTS=("${@:-plain}")
SRC=$("$TOP/scripts/source.sh")
KLP=$("$TOP/scripts/klp.sh")

# Modules that are not in the kernel's source, and a directory in which they are built.
OUTSIDE=$TOP/tools/testing/outside

# fix NAME FILE SED...: a diff that changes FILE of the kernel's source, or of that in FROM, as sed
# does, added to $WORK/NAME.patch.
fix() {
	local name=$1 file=$2 status=0 from=${FROM:-$SRC}
	shift 2
	mkdir -p "$WORK/edit"
	sed -E "$@" "$from/$file" >"$WORK/edit/after"
	diff -u --label "a/$file" --label "b/$file" "$from/$file" "$WORK/edit/after" >>"$WORK/$name.patch" || status=$?
	[ "$status" -eq 1 ] || die "the fix $name changes nothing in $file"
}

# klp_build ARGUMENT...: for $KDIR, with the livepatch.ko whose exports are in $SYMVERS.
klp_build() {
	"$TOP/scripts/enter" "$KLP" build --cache "$CACHE/klp-build" --kdir "$KDIR" --symvers "$SYMVERS" \
		-o "$WORK/out/" -j "$JOBS" "$@"
}

# builds NAME [ARGUMENT...]: a livepatch comes of the fix.
builds() {
	local status=0 start=$SECONDS
	klp_build --name "fix-$1" "${@:2}" "$WORK/$1.patch" >"$WORK/said" 2>&1 || status=$?
	count "$status" "$1 is built ($((SECONDS - start)) s)"
	sed 's/^/# /' "$WORK/said"
}

# refuses NAME WORDS [ARGUMENT...]: none comes of it, for that reason, and nothing is left.
refuses() {
	local status=0
	klp_build --name "fix-$1" "${@:3}" "$WORK/$1.patch" >"$WORK/said" 2>&1 || status=$?
	if [ "$status" -eq 1 ] && grep -qF "$2" "$WORK/said" && [ ! -e "$WORK/out/livepatch-fix-$1.ko" ]; then
		count 0 "$1 is refused"
	else
		count 1 "$1 is refused, with status 1: $status, and: $2"
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
	# Callbacks, as mainline's klp-build has them.
	fix callbacks fs/proc/loadavg.c -e '/^static int loadavg_proc_show/,/^}/ s/seq_printf\(m, "/seq_printf(m, "called /' \
		-e '$ a #include <linux/livepatch_helpers.h>' \
		-e '$ a static int before(struct klp_object *object) { pr_info("klp build: before\\n"); return 0; }' \
		-e '$ a static void after(struct klp_object *object) { pr_info("klp build: after\\n"); }' \
		-e '$ a KLP_PRE_PATCH_CALLBACK(before);' -e '$ a KLP_POST_UNPATCH_CALLBACK(after);'
	# What cannot be done.
	fix init fs/proc/cmdline.c 's/proc_create_single\("cmdline"/proc_create_single("CMDLINE"/'
	fix data kernel/ksysfs.c '/define KERNEL_ATTR_RO\(_name\)/,/__ATTR_RO/ s/__ATTR_RO\(_name\)/__ATTR(_name, 0400, _name##_show, NULL)/'
	fix broken fs/proc/cmdline.c 's/seq_putc\(m, .*\);/seq_putc(m, no_such_thing);/'
	sed 's/MemTotal/MemNothing/' "$WORK/meminfo.patch" >"$WORK/astray.patch"
	fix makefile fs/proc/Makefile '$ s/$/\n# more/'
}

# What is for modules that are not in the kernel's source.
fixes_outside() {
	local FROM=$OUTSIDE
	fix outside sub/part.c 's/ \+ OUTSIDE_GENERATED/ + OUTSIDE_GENERATED + 1000/'
	cp "$WORK/outside.patch" "$WORK/recorded.patch"
	fix both include/outside.h 's/return x \* 2/return x * 2 + 5000/'
	# What another module of the same directory exports.
	fix uses too.c 's/outside_twice\(21\)/outside_twice(21) + outside_part(0)/'
	# Not what the module was made of.
	fix another sub/part.c 's/ \+ OUTSIDE_GENERATED/ + OUTSIDE_GENERATED + 1/'
}

# install_outside: builds the modules, as DKMS or a person does, and puts them where tests find them.
install_outside() {
	local args
	read -ra args <<<"$(kmake_args "$VARIANT")"
	cp -r "$OUTSIDE" "$WORK/built"
	step "modules out of tree for $ARCH $VARIANT" "20 s" \
		"$TOP/scripts/enter" make -C "$KDIR" M="$WORK/built" "${args[@]}" modules
	mkdir "$WORK/installed" "$WORK/compressed"
	cp "$WORK/built"/*.ko "$WORK/installed/"
	xz -c "$WORK/built/klp_outside.ko" >"$WORK/compressed/klp_outside.ko.xz"
	# Another source.
	cp -r "$OUTSIDE" "$WORK/other"
	sed -i 's/OUTSIDE_SCALE=3/OUTSIDE_SCALE=5/' "$WORK/other/Makefile"
}

build_outside() {
	local before after
	before=$(find "$OUTSIDE" -printf '%p %s %T@\n' | sort)
	builds outside --source "$OUTSIDE" --module "$WORK/compressed/klp_outside.ko.xz"
	builds recorded --source "$WORK/built"
	builds uses --source "$WORK/built"
	builds uses --source "$OUTSIDE" --module "$WORK/installed/klp_outside_too.ko"
	builds both --source "$OUTSIDE" --module "$WORK/installed/klp_outside.ko" \
		--module "$WORK/installed/klp_outside_too.ko"
	refuses another "give it with --module" --source "$OUTSIDE"
	refuses another "is not what klp_outside was made of" --source "$WORK/other" \
		--module "$WORK/installed/klp_outside.ko"
	after=$(find "$OUTSIDE" -printf '%p %s %T@\n' | sort)
	count "$([ "$before" = "$after" ] && echo 0 || echo 1)" "the source of the modules is as it was"
}

build() {
	local passed=0 failed=0 left
	builds meminfo
	builds cmdline
	builds two
	builds header
	builds callbacks
	refuses init "is not used any more"
	refuses data "its contents change"
	refuses broken "does not compile"
	refuses astray "does not apply"
	refuses makefile "Makefile"
	# What is there is not of this kernel.
	cp "$WORK/meminfo.patch" "$WORK/nowhere.patch"
	refuses nowhere "there is no kernel's source" --source "$WORK"
	build_outside
	left=$(find "$WORK/out" -mindepth 1 ! -name 'livepatch-fix-*.ko')
	count "$([ -z "$left" ] && echo 0 || echo 1)" "nothing else is left: $left"
	conclude
}

for variant in "${VARIANTS[@]}"; do
	export VARIANT=$variant
	modules=$("$TOP/tools/testing/modules.sh" "$variant")
	SYMVERS=$("$TOP/scripts/modules.sh" "$variant")/Module.symvers
	KDIR=$("$TOP/scripts/kernel.sh" "$variant")
	WORK=$CACHE/tmp/build-$ARCH-$variant-$(key "$TOP")
	rm -rf "$WORK"
	mkdir -p "$WORK/out"
	fixes
	fixes_outside
	install_outside
	part "build-fixes-$ARCH-$variant" build
	part "build-ended-$ARCH-$variant" ended
	MODULES_DIR=$modules:$WORK/out:$WORK/installed part "build-guest-$ARCH-$variant" "$TOP/tools/testing/selftests.sh" \
		--variant "$variant" --tests "$TOP/tools/testing/selftests/build"
	rm -rf "$WORK"
done
totals
