#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installed patches come back when their kernel boots, and only then. One machine is
# booted again and again: its /var/lib/livepatch-rs is handed from guest to guest, and at
# each boot the command runs that is ExecStart= of klp.service. Ends with
# `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

MODULES_DIR=$("$TOP/tools/testing/modules.sh" plain)
RELEASE=$(cat "$("$TOP/scripts/kernel.sh" plain)/include/config/kernel.release")
EXEC_START=$(sed -n 's/^ExecStart=//p' "$TOP/packaging/klp.service")
STAGE=$CACHE/tmp/reboot-$ARCH-$(key "$TOP")
STATE=$STAGE/state
OUTPUT=$STAGE/output
passed=0
failed=0
boots=0

# verdict DESCRIPTION COMMAND...
verdict() {
	local description=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) $description"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) $description"
		sed 's/^/# /' "$OUTPUT"
	fi
}

# has LINE...: the output of the last boot, among others.
has() {
	local line
	for line; do
		grep -qxF -- "$line" "$OUTPUT" || {
			echo "# there is no line '$line' in the output that follows"
			return 1
		}
	done
}

has_not() {
	! grep -F -- "$1" "$OUTPUT" || {
		echo "# that is in the output that follows"
		return 1
	}
}

# The machine: klp, livepatch.ko where DKMS puts it, and patches that somebody has copied
# there. One cannot be loaded; one says that it is for another kernel.
prepare() {
	local dirs dir module system=$STAGE/system
	rm -rf "$STAGE"
	mkdir -p "$system/lib/modules/$RELEASE/updates/dkms" "$system/patches" "$STATE"
	: >"$OUTPUT"
	IFS=: read -ra dirs <<<"$MODULES_DIR"
	cp -r "${dirs[0]}/overlay/." "$system"
	cp "${dirs[0]}/livepatch.ko" "$system/lib/modules/$RELEASE/updates/dkms/"
	for module in livepatch-cmdline livepatch-meminfo livepatch-cmdline-rust \
		klp_test_positions-position-too-large; do
		for dir in "${dirs[@]}"; do
			[ ! -f "$dir/$module.ko" ] || cp "$dir/$module.ko" "$system/patches/"
		done
	done
	cd "$system/patches"
	mv klp_test_positions-position-too-large.ko broken.ko
	# As long as it was: the file stays whole.
	FOREIGN=${RELEASE%?}x
	sed "s/vermagic=$RELEASE/vermagic=$FOREIGN/" livepatch-cmdline-rust.ko >foreign.ko
	rm livepatch-cmdline-rust.ko
	[ "$(strings foreign.ko | grep -c "^vermagic=$FOREIGN ")" -eq 1 ] || die "no patch for another kernel can be made"
	cd "$TOP"
}

# in_guest: what a machine does. The state is printed last, a file a line.
in_guest() {
	cat <<-END
		depmod -a
		$EXEC_START 2>&1
		echo "service: \$?"
		grep -q 'livepatched=1' /proc/cmdline && echo "cmdline is patched" || echo "cmdline is not patched"
		grep -q 'CommitFree' /proc/meminfo && echo "meminfo is patched" || echo "meminfo is not patched"
		cd /patches
		$1
		dmesg | grep -E -f /.vm/kernel-bugs && echo "the kernel has a bug"
		echo "=== state"
		cd / && find var/lib/livepatch-rs -type f 2>/dev/null | sort | while read -r file; do
			echo "\$file \$(gzip -c "\$file" | base64 -w 0)"
		done
		echo "=== end"
	END
}

# boot COMMANDS [KERNEL-ARGUMENT]...: the machine comes up and its service runs, then the
# commands. What they print is in $OUTPUT afterwards, and the state for the next boot.
boot() {
	local all=$STAGE/all status=0 file contents
	boots=$((boots + 1))
	say "boot $boots of the $ARCH machine"
	in_guest "$1" >"$STAGE/system/up"
	shift
	"$TOP/tools/testing/vm/run.sh" --overlay "$STAGE/system" --overlay "$STATE" \
		--append "$*" -- bash /up >"$all" || status=$?
	sed '/^=== state$/,$d' "$all" >"$OUTPUT"
	rm -rf "$STATE"
	mkdir -p "$STATE"
	while read -r file contents; do
		mkdir -p "$STATE/${file%/*}"
		base64 -d <<<"$contents" | gzip -dc >"$STATE/$file" || status=1
	done < <(sed -n '/^=== state$/,/^=== end$/{/^===/!p}' "$all")
	# Without it nothing would be installed at the next boot.
	grep -qx '=== end' "$all" || status=1
	verdict "boot $boots ends well" [ "$status" -eq 0 ]
	verdict "boot $boots: the kernel shows no bug" has_not "the kernel has a bug"
}

prepare

boot 'klp install livepatch-cmdline.ko broken.ko livepatch-meminfo.ko foreign.ko
	klp installed
	test ! -e /sys/module/livepatch && echo "nothing is loaded now"'
verdict "where nothing is installed, the service succeeds" has "service: 0"
verdict "patches are installed for the kernels that they are made for" \
	has "livepatch_cmdline is installed, for kernel $RELEASE" \
	"klp_test_positions is installed, for kernel $RELEASE" \
	"livepatch_cmdline_rust is installed, for kernel $FOREIGN" \
	"$RELEASE livepatch_meminfo" "$FOREIGN livepatch_cmdline_rust"
verdict "to install loads nothing" has "nothing is loaded now" "cmdline is not patched" "meminfo is not patched"

boot 'grep -H . /sys/kernel/livepatch/*/stack_order
	ls /sys/module
	klp uninstall klp_test_positions
	klp uninstall livepatch_cmdline'
verdict "after a reboot the patches are in effect" has "cmdline is patched" "meminfo is patched"
verdict "in the order in which they were installed" \
	has "/sys/kernel/livepatch/livepatch_cmdline/stack_order:1" "/sys/kernel/livepatch/livepatch_meminfo/stack_order:2"
verdict "another kernel's patch is not loaded, nor tried" has_not livepatch_cmdline_rust
verdict "what failed is told" grep -q '^error: klp_test_positions: ' "$OUTPUT"
verdict "and counted, with a status that says so" \
	has "error: of 3 patches installed for kernel $RELEASE, 1 failed" "service: 1"
verdict "patches are uninstalled" \
	has "klp_test_positions is no longer installed, for kernel $RELEASE" \
	"livepatch_cmdline is no longer installed, for kernel $RELEASE"

boot "klp installed" klp.boot=0
verdict "with klp.boot=0 nothing is loaded" has "service: 0" "cmdline is not patched" "meminfo is not patched"
verdict "but stays installed" has "$RELEASE livepatch_meminfo"

boot 'klp boot; echo "again: $?"
	klp uninstall livepatch_meminfo'
verdict "what was uninstalled does not come back, the rest does" \
	has "service: 0" "cmdline is not patched" "meminfo is patched"
verdict "to do it again changes nothing" has "livepatch_meminfo is enabled already" "again: 0"

boot 'test ! -e /sys/module/livepatch && echo "no livepatch.ko"
	klp installed'
verdict "where all is uninstalled, nothing is patched" \
	has "service: 0" "cmdline is not patched" "meminfo is not patched"
verdict "and livepatch.ko is not loaded" has "no livepatch.ko"
verdict "the other kernel's patch is still installed" has "$FOREIGN livepatch_cmdline_rust"

rm -rf "$STAGE"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
