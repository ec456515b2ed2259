// SPDX-License-Identifier: GPL-2.0
/*
 * One system call of a livepatch's life, during which the N-th allocation (or
 * other thing that fault injection can make fail) fails:
 *
 *	klp_fail_nth N load FILE
 *	klp_fail_nth N unload MODULE
 *	klp_fail_nth N write FILE TEXT
 *
 * Prints "failed" if there was an N-th, or "reached" if the call came to its end
 * before it, and the name of its error or 0. The interface is described in the
 * kernel's Documentation/fault-injection/fault-injection.rst.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char file[64], left[32] = "";
	int fd = -1, error = 0, control;
	long ret;

	if (argc < 4 || (!strcmp(argv[2], "write") && argc < 5))
		return 2;
	snprintf(file, sizeof(file), "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
	if (strcmp(argv[2], "unload")) {
		fd = open(argv[3], (!strcmp(argv[2], "write") ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
		if (fd < 0) {
			perror(argv[3]);
			return 2;
		}
	}
	/* Nothing of the preparation may fail: the control file is open already. */
	control = open(file, O_RDWR | O_CLOEXEC);
	if (control < 0) {
		perror("this kernel has no CONFIG_FAULT_INJECTION");
		return 2;
	}
	if (write(control, argv[1], strlen(argv[1])) < 0) {
		perror(file);
		return 2;
	}
	if (!strcmp(argv[2], "load"))
		ret = syscall(SYS_finit_module, fd, "", 0);
	else if (!strcmp(argv[2], "unload"))
		ret = syscall(SYS_delete_module, argv[3], O_NONBLOCK);
	else
		ret = write(fd, argv[4], strlen(argv[4]));
	error = errno;
	if (pread(control, left, sizeof(left) - 1, 0) <= 0 || pwrite(control, "0", 1, 0) < 0) {
		perror(file);
		return 2;
	}
	printf("%s %s\n", atoi(left) ? "reached" : "failed", ret < 0 ? strerrorname_np(error) : "0");
	return 0;
}
