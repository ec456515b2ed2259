#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installed patches come back when their kernel boots, and only then. At each boot the
# command runs that is ExecStart= of klp.service. Ends with `N passed, N failed`.

. "$(dirname "$0")/../../scripts/lib.sh"

MACHINE=reboot
VARIANT=plain
VM=()
BOOTED="depmod -a
$(sed -n 's/^ExecStart=//p' "$TOP/packaging/klp.service") 2>&1
echo \"service: \$?\""
. "$TOP/tools/testing/machine.sh"

prepare

boot 'klp install livepatch-cmdline.ko broken.ko 2>&1 || echo "install: $?"
	klp installed
	klp install --no-lint livepatch-cmdline.ko broken.ko livepatch-meminfo.ko foreign.ko
	klp installed
	klp installed --all
	test ! -e /sys/module/livepatch && echo "nothing is loaded now"'
verdict "where nothing is installed, the service succeeds" has "service: 0"
verdict "what the running kernel would refuse is not installed, unless that is wanted" \
	grep -q '^broken.ko: error\[symbol-position\]: symbol position 99 ' "$OUTPUT"
verdict "nor is anything else that was to be installed with it" has "install: 1"
verdict "patches are installed for the kernels that they are made for" \
	has "livepatch_cmdline is installed for kernel $RELEASE" \
	"klp_test_positions is installed for kernel $RELEASE" \
	"livepatch_cmdline_rust is installed for kernel $FOREIGN" \
	"$RELEASE livepatch_meminfo" "$RELEASE livepatch_meminfo (running)" \
	"$FOREIGN livepatch_cmdline_rust (kernel removed)"
# shellcheck disable=SC2016 # for eval
verdict "other kernels' are listed only if that is wanted" \
	eval '! grep -qxF "$FOREIGN livepatch_cmdline_rust" "$OUTPUT"'
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
verdict "the state of each patch is told" \
	has "  livepatch_cmdline: enabled" "  klp_test_positions: not loaded" "  livepatch_meminfo: enabled"
verdict "failures are counted, with a status that says so" \
	has "error: of 3 patches installed for kernel $RELEASE, 1 is not enabled" "service: 1"
verdict "patches are uninstalled" \
	has "klp_test_positions is no longer installed for kernel $RELEASE" \
	"livepatch_cmdline is no longer installed for kernel $RELEASE"

boot "klp installed" klp.boot=0
verdict "with klp.boot=0 nothing is loaded" has "service: 0" "cmdline is not patched" "meminfo is not patched"
verdict "but stays installed" has "$RELEASE livepatch_meminfo"

boot 'klp boot; echo "again: $?"
	klp uninstall livepatch_meminfo'
verdict "what was uninstalled does not come back, the rest does" \
	has "service: 0" "cmdline is not patched" "meminfo is patched"
verdict "to do it again changes nothing" has "  livepatch_meminfo: enabled already" "again: 0"

boot 'test ! -e /sys/module/livepatch && echo "no livepatch.ko"
	klp installed --all
	klp uninstall --kernel '"$FOREIGN"' --all
	klp installed'
verdict "where all is uninstalled, nothing is patched" \
	has "service: 0" "cmdline is not patched" "meminfo is not patched"
verdict "and livepatch.ko is not loaded" has "no livepatch.ko"
verdict "only the other kernel's patch is still installed, and that is told" \
	has "$FOREIGN livepatch_cmdline_rust (kernel removed)" \
	"no livepatch is installed for kernel $RELEASE, which is running, but 1 for other kernels: 'klp installed --all' lists them"
verdict "it is uninstalled by the name of its kernel" \
	has "livepatch_cmdline_rust is no longer installed for kernel $FOREIGN" "no livepatch is installed"

totals
