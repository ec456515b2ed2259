# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# One machine with patches that somebody has copied there, booted again and again: its
# /var/lib/livepatch-rs is handed from guest to guest. For scripts of tests, which say
# what the machine is:
#
#	MACHINE		a name
#	VARIANT		its kernel
#	VM		options of vm/run.sh, an array
#	BOOTED		what it does first
#
# and call prepare, boot and verdict, and at the end totals.

MODULES_DIR=$("$TOP/tools/testing/modules.sh" "$VARIANT")
RELEASE=$(cat "$("$TOP/scripts/kernel.sh" "$VARIANT")/include/config/kernel.release")
STAGE=$CACHE/tmp/$MACHINE-$ARCH-$(key "$TOP")
STATE=$STAGE/state
OUTPUT=$STAGE/output
boots=0
. "$TOP/tools/testing/verdict.sh"

# verdict DESCRIPTION COMMAND...
verdict() {
	local description=$1 status=0
	shift
	"$@" || status=1
	count "$status" "$description"
	[ "$status" -eq 0 ] || sed 's/^/# /' "$OUTPUT"
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
	cd "$system/patches" || exit
	mv klp_test_positions-position-too-large.ko broken.ko
	# As long as it was: the file stays whole.
	FOREIGN=${RELEASE%?}x
	sed "s/vermagic=$RELEASE/vermagic=$FOREIGN/" livepatch-cmdline-rust.ko >foreign.ko
	rm livepatch-cmdline-rust.ko
	[ "$(strings foreign.ko | grep -c "^vermagic=$FOREIGN ")" -eq 1 ] || die "no patch for another kernel can be made"
	cd "$TOP" || exit
}

# in_guest: what a machine does. The state is printed last, a file a line.
in_guest() {
	cat <<-END
		$BOOTED
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
	"$TOP/tools/testing/vm/run.sh" --variant "$VARIANT" "${VM[@]}" --overlay "$STAGE/system" --overlay "$STATE" \
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

# totals: the last line, and the status.
totals() {
	rm -rf "$STAGE"
	conclude
}
