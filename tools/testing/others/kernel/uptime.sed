# SPDX-License-Identifier: GPL-2.0
# fs/proc/uptime.c: a thousand seconds idle that were not. It reads variables of all processors.
s/^\tidle_nsec = 0;$/\tidle_nsec = 1000ULL * NSEC_PER_SEC;/
