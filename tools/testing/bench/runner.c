// SPDX-License-Identifier: GPL-2.0
/*
 * The measuring program, in the guest: does what a plan says, one line after the
 * other, and marks what is to be counted (mark.h).
 *
 *   runner PLAN
 *
 * For every region it prints a line "region NUMBER LABEL ns=NANOSECONDS", where the
 * numbers count up from 0, as in what the counter writes. For transitions that tasks are
 * in the way of there is a line "time LABEL in_effect=NANOSECONDS over=NANOSECONDS", in
 * the guest's time. What does not succeed ends it with a message and status 1.
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
	if (error)
		printf(": %s", strerror(error));
	putchar('\n');
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
	pause_ms(200);
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
 * several system calls; the busy ones count, with a system call now and then. Those that
 * are to be in the way are all in pause(), and then no other one is.
 */

static pid_t others;
static int never_written[2];

static void *asleep(void *kind)
{
	char byte;

	for (;;) {
		switch ((uintptr_t)kind) {
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

static void start_threads(int count, int busy_count, int blocked)
{
	/* The first one, which starts the others, is in pause() as well. */
	int first_busy = blocked ? blocked : 1;
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
			uintptr_t kind = !blocked ? i % 4 : i < blocked ? 0 : 1 + i % 3;
			bool is_busy = i >= first_busy && i < first_busy + busy_count;

			errno = pthread_create(&thread, &attributes, is_busy ? busy : asleep,
					       (void *)kind);
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

/*
 * Transitions that tasks are in the way of. livepatch.ko says in debugfs when one is in
 * effect for all others; the C core switches tasks one by one, and has no such moment.
 */

#define PHASES "/sys/kernel/debug/livepatch"
#define BLOCKED "klp_bench_blocked"

static bool has_phases(void)
{
	return !access(PHASES, F_OK);
}

/* The first character of a file; 0 if there is none. */
static char peek(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char value = 0;

	if (fd < 0)
		return 0;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value;
}

/* A patch that was disabled goes with its transition. */
static bool is_in_transition(const char *patch)
{
	return peek(patch_file(patch, "transition")) == '1';
}

static bool is_switched(const char *patch)
{
	char path[256];

	snprintf(path, sizeof(path), PHASES "/%s/phase", patch);
	return peek(path) == 's';
}

/* Which functions this task runs. */
static bool runs_new(void)
{
	char value = peek("/sys/module/" BLOCKED "/parameters/version");

	if (value != '0' && value != '1')
		fail(BLOCKED " does not tell its version");
	return value == '1';
}

static void expect(bool holds, const char *patch, const char *what)
{
	if (holds)
		return;
	errno = 0;
	fail("%s %s", patch, what);
}

/* No transition takes that long. */
static void check_time(unsigned long long start, const char *patch, const char *what)
{
	if (now_ns() - start < 120000000000ull)
		return;
	errno = 0;
	fail("%s %s", patch, what);
}

/* The rest of a region that began with a transition, until nothing is left to do. */
static void end_transition(const char *label, const char *patch, bool enabling)
{
	unsigned long long in_effect = 0, over;

	expect(is_in_transition(patch), patch, "is not in transition: nobody is in its way");
	for (;;) {
		if (has_phases() && !in_effect && is_switched(patch)) {
			in_effect = now_ns();
			expect(runs_new() == enabling, patch,
			       "is said to be in effect for others, and is not");
		}
		if (!is_in_transition(patch))
			break;
		check_time(opened_at, patch, "stays in transition");
		pause_ms(1);
	}
	over = now_ns();
	expect(runs_new() == enabling, patch, "is said to be complete, and is not");
	pause_ms(500);
	close_region(label);
	printf("time %s", label);
	if (has_phases())
		printf(" in_effect=%llu", (in_effect ? in_effect : over) - opened_at);
	printf(" over=%llu\n", over - opened_at);
	fflush(stdout);
}

/* Those that were in the way have come back, into the new function. */
static void wait_asleep(const char *patch, long tasks)
{
	unsigned long long start = now_ns();
	char path[256], *text;
	long count;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/sleeping", patch);
	for (;;) {
		text = read_file(path);
		count = atol(text);
		free(text);
		if (count == tasks)
			return;
		check_time(start, patch, "is not what the tasks sleep in that were in the way");
		pause_ms(1);
	}
}

/* Until this task runs new functions, and others still do not. */
static void wait_switched(const char *patch)
{
	unsigned long long start = now_ns();

	while (!runs_new() || (has_phases() && !is_switched(patch))) {
		check_time(start, patch, "does not get in effect for others");
		pause_ms(1);
	}
	expect(is_in_transition(patch), patch, "is complete: nobody is in its way");
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
	unsigned long long objects = 0, slab_pages = 0, vmalloc = 0, percpu;
	long long large;
	long page = sysconf(_SC_PAGESIZE);
	char *text, *line, *next;
	glob_t caches;

	/*
	 * What is about to be freed, what is cached for the next time that a file is opened,
	 * and objects that are free, but kept at hand, do not count.
	 */
	pause_ms(500);
	write_file("/proc/sys/vm/drop_caches", "3");
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

	/*
	 * What is too large for the caches is counted as theirs, and is in none. Processors keep
	 * a part of the count to themselves; what changes meanwhile can still make it negative.
	 */
	write_file("/proc/sys/vm/stat_refresh", "1");
	text = read_file("/proc/meminfo");
	large = meminfo(text, "\nSlab:") - slab_pages;
	percpu = meminfo(text, "\nPercpu:");
	printf("memory %s objects=%llu large=%lld vmalloc=%llu percpu=%llu free=%llu\n", label,
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
	} else if (!strcmp(command, "load-patch")) {
		/*
		 * load-patch LABEL FILE PARAMETERS: a region until what the system call
		 * has left to others is done as well
		 */
		int fd = open_module(words[2]);

		open_region();
		finit(fd, words[2], words[3]);
		pause_ms(200);
		close_region(words[1]);
		close(fd);
	} else if (!strcmp(command, "enable")) {
		/* enable LABEL PATCH FILE PARAMETERS: a region until all of it is done */
		int fd = open_module(words[3]);

		open_region();
		finit(fd, words[3], words[4]);
		wait_enabled(words[2]);
		pause_ms(500);
		mark_point(2);
		close_region(words[1]);
		close(fd);
	} else if (!strcmp(command, "disable")) {
		/* disable LABEL PATCH: the same, with point 0 at its start */
		open_region();
		mark_point(0);
		disable(words[2]);
		pause_ms(500);
		mark_point(2);
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
		/* threads NUMBER BUSY BLOCKED */
		start_threads(atoi(words[1]), atoi(words[2]), atoi(words[3]));
	} else if (!strcmp(command, "end-threads")) {
		end_threads();
	} else if (!strcmp(command, "enable-blocked")) {
		/* enable-blocked LABEL PATCH FILE BLOCKED: a region, until all of them have left */
		int fd = open_module(words[3]);

		open_region();
		finit(fd, words[3], "");
		end_transition(words[1], words[2], true);
		close(fd);
		wait_asleep(words[2], atol(words[4]));
	} else if (!strcmp(command, "disable-blocked")) {
		/* disable-blocked LABEL PATCH: the same */
		open_region();
		write_file(patch_file(words[2], "enabled"), "0");
		end_transition(words[1], words[2], false);
		remove_module(words[2]);
	} else if (!strcmp(command, "begin")) {
		/* begin PATCH FILE: a transition, until it is in effect for this task */
		int fd = open_module(words[2]);

		finit(fd, words[2], "");
		close(fd);
		wait_switched(words[1]);
	} else if (!strcmp(command, "in-transition")) {
		/* in-transition PATCH: it still is, and in effect for this task */
		expect(is_in_transition(words[1]) && runs_new() &&
			       (!has_phases() || is_switched(words[1])),
		       words[1], "was to be in transition all the time");
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
