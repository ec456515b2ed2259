// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a compressed module with the kernel's own decompressor, whatever the
 * guest's kmod can do: klp_finit FILE
 */
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || syscall(SYS_finit_module, fd, "", MODULE_INIT_COMPRESSED_FILE)) {
		perror("klp_finit");
		return 1;
	}
	return 0;
}
