// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks, for tests:
 *
 *	klp_tasks threads N	N threads that sleep; says "ready" when all are there
 *	klp_tasks forks N	N processes that make others, each of which ends at once
 *
 * Goes on until its standard input ends.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int threads(long count)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	while (count--) {
		error = pthread_create(&thread, &attributes, sleep_on, NULL);
		if (error) {
			fprintf(stderr, "klp_tasks: pthread_create: %s\n", strerror(error));
			return 1;
		}
	}
	return 0;
}

static void fork_on(void)
{
	pid_t child;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0)
			_exit(1);
		waitpid(child, NULL, 0);
	}
}

static int forks(long count)
{
	pid_t child;

	while (count--) {
		child = fork();
		if (child == 0)
			fork_on();
		if (child < 0) {
			perror("klp_tasks: fork");
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[2]) : 0;
	int forking = count > 0 && !strcmp(argv[1], "forks");
	int status;
	char byte;

	if (!forking && (count <= 0 || strcmp(argv[1], "threads"))) {
		fputs("usage: klp_tasks threads|forks N\n", stderr);
		return 2;
	}
	status = forking ? forks(count) : threads(count);
	if (status)
		return status;
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	/* A process that makes others may have failed. */
	if (forking && waitpid(-1, &status, WNOHANG) != 0) {
		fputs("klp_tasks: a process has ended too soon\n", stderr);
		return 1;
	}
	return 0;
}
