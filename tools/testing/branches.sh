#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Indirect branch tracking, which QEMU does not have, in the code of livepatch.ko: what may
# be called by its address begins with ENDBR, and indirect calls stand only where a
# function of livepatch.ko or of a patch's author is called by its address, which begins so
# too. Ends with `N passed, N failed`.
#
#   branches.sh [VARIANT]     a kernel with CONFIG_X86_KERNEL_IBT: ibt (default), cfi, lockdep

. "$(dirname "$0")/../../scripts/lib.sh"

VARIANT=${1:-ibt}
MODULES=$("$TOP/scripts/modules.sh" "$VARIANT")
exec "$TOP/scripts/enter" python3 "$TOP/tools/testing/branches.py" "$MODULES/livepatch.ko"
