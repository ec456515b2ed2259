// SPDX-License-Identifier: GPL-2.0
/*
 * The measuring program, in the guest: does what a plan says, one line after the
 * other, and marks what is to be counted (mark.h).
 *
 *   runner PLAN
 *
 * For every region it prints a line "region NUMBER LABEL ns=NANOSECONDS", where the
 * numbers count up from 0, as in what the counter writes. What does not succeed ends
 * it with a message and status 1.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/module.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"

static unsigned int line_number;

static _Noreturn void fail(const char *format, ...)
{
	va_list arguments;
	int error = errno;

	fflush(stdout);
	printf("line %u of the plan: ", line_number);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf(": %s\n", strerror(error));
	exit(1);
}

static void pause_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static unsigned long long now_ns(void)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* Regions. Nothing is printed while one is open. */

static unsigned int regions;
static unsigned long long opened_at;

static void open_region(void)
{
	/* What was begun before comes to its end first. */
	pause_ms(20);
	opened_at = now_ns();
	mark(MARK_OPEN);
}

static void close_region(const char *label)
{
	mark(MARK_CLOSE);
	printf("region %u %s ns=%llu\n", regions++, label, now_ns() - opened_at);
	fflush(stdout);
}

/* Files of the kernel. */

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail("%s to %s", value, path);
	close(fd);
}

static char *read_file(const char *path)
{
	size_t size = 0, room = 1 << 16;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = malloc(room);
	ssize_t got;

	if (fd < 0)
		fail("%s", path);
	while ((got = read(fd, text + size, room - size - 1)) > 0) {
		size += got;
		if (room - size < 4096)
			text = realloc(text, room *= 2);
	}
	if (got < 0)
		fail("%s", path);
	close(fd);
	text[size] = 0;
	return text;
}

/* Modules and patches. */

static int open_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("%s", path);
	return fd;
}

static void finit(int fd, const char *path, const char *parameters)
{
	if (syscall(SYS_finit_module, fd, parameters, 0))
		fail("insmod %s", path);
}

static void remove_module(const char *name)
{
	/* A patch that was disabled gives its module back a little later. */
	for (int tries = 0; syscall(SYS_delete_module, name, O_NONBLOCK); tries++) {
		if ((errno != EAGAIN && errno != EBUSY && errno != EWOULDBLOCK) || tries == 2000)
			fail("rmmod %s", name);
		pause_ms(10);
	}
}

static const char *patch_file(const char *patch, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "/sys/kernel/livepatch/%s/%s", patch, file);
	return path;
}

static void wait_enabled(const char *patch)
{
	const char *path = patch_file(patch, "transition");

	for (int tries = 0;; tries++) {
		char value = 0;
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, &value, 1) != 1)
			fail("%s", path);
		close(fd);
		if (value == '0')
			return;
		if (tries == 30000)
			fail("%s stays in transition", patch);
		pause_ms(1);
	}
}

static void wait_gone(const char *patch)
{
	const char *path = patch_file(patch, "transition");

	for (int tries = 0; !access(path, F_OK); tries++) {
		if (tries == 30000)
			fail("%s stays in transition", patch);
		pause_ms(1);
	}
}

static void disable(const char *patch)
{
	write_file(patch_file(patch, "enabled"), "0");
	wait_gone(patch);
}

/*
 * Threads. They belong to a process of their own. Most are asleep, each in one of
 * several system calls; the busy ones count, with a system call now and then.
 */

static pid_t others;
static int never_written[2];

static void *asleep(void *number)
{
	char byte;

	for (;;) {
		switch ((uintptr_t)number % 4) {
		case 0:
			pause();
			break;
		case 1:
			pause_ms(1000000000);
			break;
		case 2:
			if (read(never_written[0], &byte, 1) == 0)
				return NULL;
			break;
		default:
			syscall(SYS_rt_sigsuspend, &(unsigned long){ 0 }, sizeof(long));
		}
	}
}

static _Noreturn void *busy(void *unused)
{
	(void)unused;
	for (;;) {
		for (int i = 0; i < 20000; i++)
			asm volatile("" : "+r"(i));
		syscall(SYS_getppid);
	}
}

static void start_threads(int count, int busy_count)
{
	int ready[2];
	char byte;

	if (pipe(ready) || pipe(never_written))
		fail("pipe");
	others = fork();
	if (others < 0)
		fail("fork");
	if (!others) {
		pthread_attr_t attributes;
		pthread_t thread;

		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, 32768);
		for (int i = 1; i < count; i++) {
			errno = pthread_create(&thread, &attributes,
					       i <= busy_count ? busy : asleep,
					       (void *)(uintptr_t)i);
			if (errno)
				fail("thread %d of %d", i, count);
		}
		if (write(ready[1], "", 1) != 1)
			fail("pipe");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("the threads did not start");
	close(ready[0]);
	/* Until each of them has come to where it stays. */
	pause_ms(500);
}

static void end_threads(void)
{
	if (kill(others, SIGKILL) || waitpid(others, NULL, 0) != others)
		fail("the threads do not end");
	close(never_written[0]);
	close(never_written[1]);
	pause_ms(500);
}

/* Memory, as the allocators tell. */

static unsigned long long meminfo(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	if (!found)
		fail("no %s in /proc/meminfo", key);
	return strtoull(found + strlen(key), NULL, 10) * 1024;
}

static void print_memory(const char *label)
{
	unsigned long long objects = 0, slab_pages = 0, vmalloc = 0, large, percpu;
	long page = sysconf(_SC_PAGESIZE);
	char *text, *line, *next;
	glob_t caches;

	/* Objects that are free, but kept at hand, do not count. */
	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches))
		fail("/sys/kernel/slab");
	for (size_t i = 0; i < caches.gl_pathc; i++) {
		int fd = open(caches.gl_pathv[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "1", 1) != 1)
			fail("%s", caches.gl_pathv[i]);
		close(fd);
	}
	globfree(&caches);

	text = read_file("/proc/slabinfo");
	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		unsigned long active, all, size, per_slab, pages, slabs;

		if (sscanf(line, "%*s %lu %lu %lu %lu %lu : tunables %*u %*u %*u : slabdata %*u %lu",
			   &active, &all, &size, &per_slab, &pages, &slabs) != 6)
			continue;
		objects += (unsigned long long)active * size;
		slab_pages += (unsigned long long)slabs * pages * page;
	}
	free(text);
	if (!objects)
		fail("no caches in /proc/slabinfo");

	text = read_file("/proc/vmallocinfo");
	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		char *size = strchr(line, ' ');

		/* The last page of an area is a guard. */
		if (size && strstr(line, " vmalloc"))
			vmalloc += strtoull(size, NULL, 10) - page;
	}
	free(text);

	/* What is too large for the caches is counted as theirs, and is in none. */
	text = read_file("/proc/meminfo");
	large = meminfo(text, "\nSlab:") - slab_pages;
	percpu = meminfo(text, "\nPercpu:");
	printf("memory %s objects=%llu large=%llu vmalloc=%llu percpu=%llu free=%llu\n", label,
	       objects, large, vmalloc, percpu, meminfo(text, "MemFree:"));
	free(text);
}

static void print_symbols(void)
{
	char *text = read_file("/proc/kallsyms"), *line, *next;

	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		if (strchr(line, '['))
			printf("symbol %s\n", line);
	}
	free(text);
}

/* The plan. */

#define WORDS 5

static void obey(char *words[WORDS])
{
	const char *command = words[0];

	if (!strcmp(command, "insert")) {
		/* insert FILE PARAMETERS */
		int fd = open_module(words[1]);

		finit(fd, words[1], words[2]);
		close(fd);
	} else if (!strcmp(command, "patch")) {
		/* patch PATCH FILE PARAMETERS: until it is in effect */
		int fd = open_module(words[2]);

		finit(fd, words[2], words[3]);
		close(fd);
		wait_enabled(words[1]);
	} else if (!strcmp(command, "load")) {
		/* load LABEL FILE PARAMETERS: the system call is a region */
		int fd = open_module(words[2]);

		open_region();
		finit(fd, words[2], words[3]);
		close_region(words[1]);
		close(fd);
	} else if (!strcmp(command, "enable")) {
		/* enable LABEL PATCH FILE PARAMETERS: a region until it is in effect */
		int fd = open_module(words[3]);

		open_region();
		finit(fd, words[3], words[4]);
		wait_enabled(words[2]);
		close_region(words[1]);
		close(fd);
	} else if (!strcmp(command, "disable")) {
		/* disable LABEL PATCH: a region, with point 0 at its start */
		open_region();
		mark_point(0);
		disable(words[2]);
		close_region(words[1]);
		remove_module(words[2]);
	} else if (!strcmp(command, "unpatch")) {
		/* unpatch PATCH: disable and remove it */
		wait_enabled(words[1]);
		disable(words[1]);
		remove_module(words[1]);
	} else if (!strcmp(command, "remove")) {
		remove_module(words[1]);
	} else if (!strcmp(command, "write")) {
		/* write LABEL FILE VALUE: a region */
		open_region();
		write_file(words[2], words[3]);
		close_region(words[1]);
	} else if (!strcmp(command, "set")) {
		/* set FILE VALUE */
		write_file(words[1], words[2]);
	} else if (!strcmp(command, "wait")) {
		/* wait LABEL MILLISECONDS: a region in which nothing is done */
		open_region();
		pause_ms(atol(words[2]));
		close_region(words[1]);
	} else if (!strcmp(command, "threads")) {
		/* threads NUMBER BUSY */
		start_threads(atoi(words[1]), atoi(words[2]));
	} else if (!strcmp(command, "end-threads")) {
		end_threads();
	} else if (!strcmp(command, "memory")) {
		print_memory(words[1]);
	} else if (!strcmp(command, "symbols")) {
		print_symbols();
	} else {
		errno = EINVAL;
		fail("%s", command);
	}
}

int main(int argc, char **argv)
{
	char *plan, *line, *next;

	if (argc != 2) {
		puts("usage: runner PLAN");
		return 1;
	}
	/* What is touched for the first time while it is measured would be counted. */
	mlockall(MCL_CURRENT);
	plan = read_file(argv[1]);
	for (line = plan; line && *line; line = next) {
		char *words[WORDS] = { "", "", "", "", "" };
		int count = 0;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		line_number++;
		for (char *word = strtok(line, " "); word && count < WORDS; word = strtok(NULL, " "))
			words[count++] = word;
		if (count)
			obey(words);
	}
	puts("the plan is done");
	return 0;
}
