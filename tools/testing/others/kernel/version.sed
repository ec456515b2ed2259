# SPDX-License-Identifier: GPL-2.0
# fs/proc/version.c: says that it is patched; has callbacks.
s/^\tseq_printf(m, linux_proc_banner,$/\tseq_puts(m, "patched: "); &/
$a #include "version-callbacks.h"
