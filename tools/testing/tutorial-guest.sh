# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of tutorials have in common: to be read by a script that has read
# scripts/lib.sh and set DOCUMENT and WORK. In $WORK/build.out is what the commands for the
# build machine have printed, in $WORK/guest what the guest gets.

tutorial() { "$TOP/scripts/enter" python3 "$TOP/tools/testing/tutorial.py" "$@"; }

# patched_machine LABEL DIRECTORY [OPTION]...: does in a guest what the document says for the
# machine that is patched, in a directory of root's home, and compares what all commands have
# printed with what the document shows. The options are those of vm/run.sh.
patched_machine() {
	local label=$1 directory=$2 status=0
	shift 2
	cp "$("$TOP/scripts/klp.sh" --guest)" "$WORK/guest/usr/bin/klp"
	tutorial script '#' "$DOCUMENT" >"$WORK/guest/root/$directory/run"
	say "$label: the machine that is patched"
	"$TOP/tools/testing/vm/run.sh" "$@" --overlay "$WORK/guest" -- \
		"cd $directory && bash ./run; ! dmesg | grep -E -f /.vm/kernel-bugs" >"$WORK/root.out" || status=$?
	[ "$status" -eq 0 ] || sed '/^=== tutorial/d' "$WORK/root.out"

	tutorial check "$DOCUMENT" "$WORK/build.out" "$WORK/root.out"
	[ "$status" -eq 0 ] || die "the guest ended with status $status"
}
