# SPDX-License-Identifier: GPL-2.0
# fs/exec.c: a number in what its tracepoint tells, which has a static key and a static call.
s/^\ttrace_sched_process_exec(/\told_pid += 100000; &/
