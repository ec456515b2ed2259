#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# klp.service as systemd runs it: when, in its sandbox, and what systemd makes of how it
# ends. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

MACHINE=service
VARIANT=lockdep
# A kernel with lockdep takes its time, as does systemd on an emulated CPU.
VM=(--guest systemd --timeout 600)
# shellcheck disable=SC2016 # for the guest's shell
BOOTED='systemctl show klp.service -p ConditionResult -p ActiveState -p Result -p ExecMainStatus
for unit in klp.service sysinit.target; do
	systemctl show --value -p InactiveExitTimestampMonotonic -p ActiveEnterTimestampMonotonic $unit | xargs echo "times: $unit"
done
journalctl --sync
journalctl -b -o cat -u klp.service | sed "s/^/journal: /"'
. "$TOP/tools/testing/machine.sh"

prepare
UNITS=$STAGE/system/usr/lib/systemd/system
mkdir -p "$UNITS/sysinit.target.wants"
cp "$TOP/packaging/klp.service" "$UNITS/"
ln -s ../klp.service "$UNITS/sysinit.target.wants/"
# What depmod misses where no kernel is installed.
touch "$STAGE/system/lib/modules/$RELEASE/modules."{order,builtin,builtin.modinfo}
"$TOP/scripts/enter" depmod -b "$STAGE/system" "$RELEASE"

# in_time: it was over before what waits for it began to be there.
in_time() {
	local unit began over sysinit
	read -r _ unit began over < <(grep '^times: klp.service ' "$OUTPUT")
	read -r _ unit _ sysinit < <(grep '^times: sysinit.target ' "$OUTPUT")
	echo "# klp.service: $began to $over, $unit: $sysinit (microseconds)"
	[ "$began" -gt 0 ] && [ "$over" -gt "$began" ] && [ "$sysinit" -ge "$over" ]
}

boot 'klp install --no-lint livepatch-cmdline.ko broken.ko livepatch-meminfo.ko foreign.ko'
verdict "where nothing is installed it is not run" has ConditionResult=no ActiveState=inactive
verdict "nothing is patched" has "cmdline is not patched" "meminfo is not patched"

# As many distributions have it.
boot 'klp uninstall klp_test_positions' sysctl.kernel.dmesg_restrict=1
verdict "it has failed where a patch cannot be loaded" has ConditionResult=yes ActiveState=failed ExecMainStatus=1
verdict "the others are in effect" has "cmdline is patched" "meminfo is patched"
verdict "the journal has what the kernel said" \
	grep -q '^journal: .*livepatch: symbol .* not found' "$OUTPUT"

boot 'systemctl stop klp.service
	systemctl start klp.service && echo "started again"
	journalctl --sync
	journalctl -b -o cat -u klp.service | sed "s/^/again: /"
	journalctl -b -o cat -p warning _PID=1 | grep -F klp.service
	klp installed'
verdict "it succeeds where all patches can be loaded" has ActiveState=active Result=success ExecMainStatus=0
verdict "they are in effect" has "cmdline is patched" "meminfo is patched"
verdict "they were before sysinit.target was reached" in_time
verdict "to run it again changes nothing" has "started again" "again:   livepatch_meminfo: enabled already"
verdict "systemd understands all of it" has_not "Unknown"

boot 'klp uninstall --all' klp.boot=0
verdict "with klp.boot=0 it loads nothing" \
	has ActiveState=active Result=success "cmdline is not patched" "meminfo is not patched"

boot 'true'
verdict "where only another kernel has patches it says so" \
	has ConditionResult=yes ActiveState=active Result=success \
	"journal: no livepatch is installed for kernel $RELEASE, which is running, but 1 for other kernels: 'klp installed --all' lists them"

totals
