#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian 13's stock kernel, as shipped. On its C core klp works, with a livepatch that is
# built with its headers packages in the way that building.md says. Where it has no livepatch
# support (s390x), klp says so. Ends with `N passed, N failed`.
#
#   stock.sh [old|new]      which of the archive's (see scripts/stock.sh)

. "$(dirname "$0")/../../scripts/lib.sh"
. "$TOP/tools/testing/verdict.sh"

NAME=stock-cmdline
# build DIRECTORY RELEASE KLP: in the tree, over which the stock kernel lies.
build() {
	cd "$1"
	"$3" new "$NAME" --livepatch "$TOP"
	make -C "$NAME" KDIR="/lib/modules/$2/build" KLP="$3"
}

# types DIRECTORY RELEASE KLP: of functions that are in its vmlinux.
types() {
	cd "$1"
	"$3" new stock-types meminfo_proc_show vfs_read --livepatch "$TOP" --kernel "/lib/modules/$2/build/vmlinux"
	grep -x 'int meminfo_proc_show(struct seq_file \*m, void \*v);' stock-types/stock-types.c
	grep -x 'ssize_t vfs_read(struct file \*file, char \*buf, size_t count, loff_t \*pos);' stock-types/stock-types.c
}

if [ "${1:-}" = --build ] || [ "${1:-}" = --types ]; then
	"${1#--}" "${@:2}"
	exit
fi

# has LINE...: the guest's output, among others.
has() {
	local line
	for line; do
		grep -qxF -- "$line" "$OUTPUT" || {
			echo "there is no line '$line' in:"
			cat "$OUTPUT"
			return 1
		}
	done
}

# marks N: so many of the times that /proc/cmdline was read, it was the livepatch's.
marks() { [ "$(grep -c 'livepatched=1$' "$OUTPUT")" -eq "$1" ] || { cat "$OUTPUT" && return 1; }; }

# boot COMMAND: a failure is the output's last line.
boot() {
	"$TOP/tools/testing/vm/run.sh" --kernel "$ROOT/boot/vmlinuz-$RELEASE" --overlay "$WORK/guest" \
		--console-log "$CACHE/log/console-$ARCH-stock.log" -- "uname -r; read -r up _ </proc/uptime
		echo \"up: \$up s\"
		$1
		dmesg | grep -E -f /.vm/kernel-bugs && echo 'the kernel has a bug' || echo 'no bugs'" \
		>"$OUTPUT" 2>&1 || echo "run.sh: $?" >>"$OUTPUT"
	sed -n 's/^up: /# the guest is up after /p' "$OUTPUT"
}

in_tree() { LAYER=$ROOT "$TOP/scripts/enter" "$@"; }

# The configuration says which of the two is tested: no kernel goes untested.
with_core() {
	local module=$WORK/$NAME/$NAME.ko
	verdict "a livepatch is built with the headers packages" \
		in_tree "$0" --build "$WORK" "$RELEASE" "$("$TOP/scripts/klp.sh")"
	[ "$failed" -eq 0 ] || return 0
	verdict "klp new finds the types of functions in the headers packages" \
		in_tree "$0" --types "$WORK" "$RELEASE" "$("$TOP/scripts/klp.sh")"
	verdict "it is for this kernel" grep -qx "$RELEASE" <(in_tree modinfo -F vermagic "$module" | cut -d' ' -f1)
	cp "$module" "$WORK/guest/root/"
	boot "klp status
		klp load $NAME.ko; echo \"load: \$?\"
		cat /proc/cmdline
		klp status ${NAME/-/_}
		klp unload ${NAME/-/_}; echo \"unload: \$?\"
		cat /proc/cmdline
		test ! -e /sys/module/${NAME/-/_} && echo 'the module is gone'"
	verdict "the stock kernel runs, with a core that klp knows" \
		has "$RELEASE" "core: mainline's, of Linux $RELEASE" "no livepatch is loaded"
	verdict "the livepatch is loaded" has "load: 0" "${NAME/-/_}: enabled, replace no" "    cmdline_proc_show,1: in effect"
	verdict "it is in effect while it is loaded" marks 1
	verdict "it is unloaded" has "unload: 0" "the module is gone"
	verdict "the kernel found no bug" has "no bugs"
}

without_core() {
	boot "klp status; echo \"status: \$?\""
	verdict "the stock kernel runs" has "$RELEASE"
	verdict "klp says that it loads no livepatches" \
		has "core: none: this kernel loads no livepatches until livepatch.ko is inserted" "status: 0"
	verdict "the kernel found no bug" has "no bugs"
	verdict "what livepatch.ko lacks there is said" grep -q '^error: .*CONFIG_RUST=n' \
		<(in_tree "$TOP/scripts/check-kernel" "/lib/modules/$RELEASE/build" 2>&1)
}

WHICH=${1:-old}
"$TOP/scripts/stock.sh" image "$WHICH" >/dev/null
ROOT=$("$TOP/scripts/stock.sh" headers "$WHICH")
RELEASE=$("$TOP/scripts/stock.sh" versions | sed -n "s/^$WHICH \(.*\) .*/\1/p")
WORK=$CACHE/tmp/stock-$ARCH-$WHICH-$(key "$TOP")
OUTPUT=$WORK/output

rm -rf "$WORK"
mkdir -p "$WORK/guest/usr/bin" "$WORK/guest/root"
cp "$("$TOP/scripts/klp.sh" --guest)" "$WORK/guest/usr/bin/klp"
if grep -qx CONFIG_LIVEPATCH=y "$ROOT/boot/config-$RELEASE"; then
	with_core
else
	without_core
fi
conclude
