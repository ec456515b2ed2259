// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that read a file, for tests:
 *
 *	klp_readers N FILE	N processes that read FILE from the beginning to the end, again and
 *				again; says "ready" when they have begun
 *
 * They get signals, which they catch, have children that read it once, and end: by themselves
 * or as they are killed. There are N of them all the time.
 *
 * Goes on until its standard input ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 1000

static void caught(int unused)
{
}

static void read_once(const char *path)
{
	char bytes[4096];
	int file = open(path, O_RDONLY);

	if (file < 0)
		_exit(1);
	while (read(file, bytes, sizeof(bytes)) > 0)
		;
	close(file);
}

static void go_on_reading(const char *path, unsigned int seed)
{
	int left;
	pid_t child;

	srandom(seed);
	for (left = random() % 50; left; left--) {
		read_once(path);
		if (random() % 8)
			continue;
		child = fork();
		if (child == 0) {
			read_once(path);
			_exit(0);
		}
		while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	_exit(0);
}

static pid_t begin(const char *path)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		go_on_reading(path, getpid());
	}
	if (child < 0) {
		perror("klp_readers: fork");
		exit(1);
	}
	return child;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = caught };
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	long count = argc == 3 ? atol(argv[1]) : 0;
	pid_t readers[MOST], ended;
	char byte;
	int i, status;

	if (count <= 0 || count > MOST) {
		fputs("usage: klp_readers N FILE\n", stderr);
		return 2;
	}
	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < count; i++)
		readers[i] = begin(argv[2]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(&input, 1, 10 + random() % 50) > 0 && read(STDIN_FILENO, &byte, 1) <= 0)
			break;
		kill(readers[random() % count], random() % 8 ? SIGUSR1 : SIGKILL);
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
			if (WIFEXITED(status) && WEXITSTATUS(status)) {
				fprintf(stderr, "klp_readers: cannot open %s\n", argv[2]);
				return 1;
			}
			for (i = 0; i < count; i++)
				if (readers[i] == ended)
					readers[i] = begin(argv[2]);
		}
	}
	for (i = 0; i < count; i++)
		kill(readers[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}
