// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of hostile.sh: inserts damaged livepatches, one after the other,
 * and looks at what became of each.
 *
 *	klp_hostile DIR FIRST [control]
 *
 * DIR holds what klp-mutate --pack has written. Of each mutant from FIRST on a line
 * tells its number and "loaded", "ours" or "kernel": by whom it was refused. A line
 * that begins with PROBLEM tells what must not be. Those that are loaded are
 * disabled and unloaded again. With "control" there is no livepatch core, and a
 * module that is loaded patches nothing.
 *
 * Status: 0 all were tried; 1 not, as something is left that cannot be removed; 2 not,
 * as the kernel's log shows a sign of a bug: what it has done to this kernel is not
 * known, and the next mutant is for another one.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SYSFS "/sys/kernel/livepatch"
#define BASES 16
#define REGEXES 64
/* Seconds; emulated CPUs are slow, and a transition may take some tries. */
#define PATIENCE 60

struct file {
	uint8_t *data;
	size_t length;
};

/* What a patch changes while it is enabled. */
static const struct effect {
	const char *patch, *file, *mark, *target;
} effects[] = {
	{ "livepatch_cmdline", "/proc/cmdline", "livepatched=1", NULL },
	{ "livepatch_cmdline_rust", "/proc/cmdline", "livepatched=1", NULL },
	{ "livepatch_meminfo", "/proc/meminfo", "CommitFree", NULL },
	{ "livepatch_meminfo_rust", "/proc/meminfo", "CommitFree", NULL },
	{ "livepatch_target", "/proc/klp_target_second", "(livepatched)", "klp_target" },
	{ "klp_test_late", "/proc/klp_test_values", "unique 42303", "klp_test_target" },
};

static struct file bases[BASES];
static char names[BASES][64];
static unsigned int count_of_bases;
static regex_t bugs[REGEXES];
static unsigned int count_of_bugs;
static unsigned long long current;
static int kmsg_in, kmsg_out;
static bool control, bug_found;

static void __attribute__((format(printf, 1, 2))) problem(const char *format, ...)
{
	va_list args;

	printf("PROBLEM %llu: ", current);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void __attribute__((format(printf, 1, 2), noreturn)) stop(const char *format, ...)
{
	va_list args;

	printf("PROBLEM %llu: ", current);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	exit(1);
}

static struct file slurp(const char *directory, const char *name)
{
	struct file file = { NULL, 0 };
	char path[256];
	size_t room = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		stop("cannot open %s: %s", path, strerror(errno));
	do {
		if (file.length == room) {
			room = room ? 2 * room : 65536;
			file.data = realloc(file.data, room);
			if (!file.data)
				stop("no memory");
		}
		got = read(fd, file.data + file.length, room - file.length);
		if (got < 0)
			stop("cannot read %s: %s", path, strerror(errno));
		file.length += got;
	} while (got);
	close(fd);
	return file;
}

/* The beginning of a file, as a string; empty where it cannot be read. */
static const char *text_of(const char *path)
{
	static char text[16384];
	size_t length = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		while (length < sizeof(text) - 1) {
			got = read(fd, text + length, sizeof(text) - 1 - length);
			if (got <= 0)
				break;
			length += got;
		}
		close(fd);
	}
	text[length] = '\0';
	return text;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void pause_shortly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

/*
 * Reads what the kernel has logged since the last call. Tells of signs of a bug, and
 * whether livepatch has logged an error, the first of which is kept.
 */
static bool read_log(char *said, size_t size)
{
	static char record[8192];
	bool ours = false;
	ssize_t got;

	*said = '\0';
	for (;;) {
		char *text, *end;
		unsigned int priority, i;

		got = read(kmsg_in, record, sizeof(record) - 1);
		if (got < 0 && errno == EPIPE) {
			problem("a part of the kernel's log is lost");
			continue;
		}
		if (got <= 0)
			return ours;
		record[got] = '\0';
		priority = strtoul(record, NULL, 10);
		text = strchr(record, ';');
		if (!text || priority > 7) /* Not the kernel's. */
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = '\0';
		for (i = 0; i < count_of_bugs; i++) {
			if (!regexec(&bugs[i], text, 0, NULL, 0)) {
				problem("the kernel's log: %s", text);
				bug_found = true;
				break;
			}
		}
		if (priority <= 3) {
			if (!strncmp(text, "livepatch: ", 11))
				ours = true;
			if (!*said)
				snprintf(said, size, "%s", text);
		}
	}
}

static bool exists(const char *directory, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return !access(path, F_OK);
}

/* Waits until something exists, or does not any more. */
static bool await(const char *directory, const char *name, bool wanted)
{
	double end = now() + PATIENCE;

	while (exists(directory, name) != wanted) {
		if (now() > end)
			return false;
		pause_shortly();
	}
	return true;
}

static bool read_one(const char *patch, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), SYSFS "/%s/%s", patch, name);
	return *text_of(path) == '1';
}

static void unload(const char *name)
{
	double end = now() + PATIENCE;

	while (syscall(SYS_delete_module, name, O_NONBLOCK)) {
		if ((errno != EAGAIN && errno != EBUSY) || now() > end)
			stop("cannot unload %s: %s", name, strerror(errno));
		pause_shortly();
	}
}

static void load(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/hostile/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		stop("cannot load %s: %s", path, strerror(errno));
	close(fd);
}

/* What is patched must show it, and what is not must not. */
static void check_effect(const char *patch)
{
	const struct effect *effect;

	for (effect = effects; effect < effects + sizeof(effects) / sizeof(*effects); effect++) {
		bool is = strstr(text_of(effect->file), effect->mark);
		bool mine = patch && !strcmp(effect->patch, patch);

		if (is && !patch)
			problem("%s is patched by nobody", effect->file);
		if (!is && mine)
			problem("%s is not patched by %s", effect->file, patch);
	}
	if (exists("/proc", "klp_test_positions"))
		text_of("/proc/klp_test_positions");
}

static const char *target_of(const char *patch)
{
	unsigned int i;

	for (i = 0; i < sizeof(effects) / sizeof(*effects); i++)
		if (!strcmp(effects[i].patch, patch))
			return effects[i].target;
	return NULL;
}

/* A module that was loaded: looks at what it does, and takes it back. */
static void undo(const char *name)
{
	const char *target = target_of(name);
	double end = now() + PATIENCE;
	char path[256];
	int fd;

	if (control) {
		unload(name);
		return;
	}
	while (read_one(name, "transition")) {
		if (now() > end)
			stop("the transition of %s does not end", name);
		pause_shortly();
	}
	if (!read_one(name, "enabled"))
		problem("%s is loaded, but not enabled", name);
	check_effect(name);
	if (target) {
		/* Its relocations are cleared, and applied again. */
		unload(target);
		load(target);
		check_effect(name);
	}
	snprintf(path, sizeof(path), SYSFS "/%s/enabled", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		problem("cannot disable %s: %s", name, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (!await(SYSFS, name, false))
		stop("%s cannot be disabled", name);
	unload(name);
	check_effect(NULL);
}

/* Nothing of a module that was refused, or is gone, is left. */
static void check_gone(const char *name)
{
	struct dirent *entry;
	DIR *directory;

	if (exists("/sys/module", name))
		stop("module %s is left", name);
	if (control)
		return;
	directory = opendir(SYSFS);
	if (!directory)
		stop("there is no " SYSFS);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			stop(SYSFS "/%s is left", entry->d_name);
	closedir(directory);
}

static void try(struct file mutant, const char *name, bool refused)
{
	const char *result;
	char said[256];
	int error = 0;
	bool ours;

	dprintf(kmsg_out, "<6>hostile: mutant %llu\n", current);
	if (syscall(SYS_init_module, mutant.data, mutant.length, ""))
		error = errno;
	else
		undo(name);
	check_gone(name);
	ours = read_log(said, sizeof(said));
	if (!error && refused)
		problem("it was loaded, but had to be refused");
	result = !error ? "loaded" : ours ? "ours" : "kernel";
	printf("%llu\t%s\t%s\t%s\n", current, result, error ? strerrorname_np(error) : "-", said);
	fflush(stdout);
}

/* Numbers of the pack are little-endian, whatever this machine is. */
static uint64_t number(struct file *pack, unsigned int bytes)
{
	uint64_t value = 0;
	unsigned int i;

	if (pack->length < bytes)
		stop("the pack is too short");
	for (i = 0; i < bytes; i++)
		value |= (uint64_t)pack->data[i] << (8 * i);
	pack->data += bytes;
	pack->length -= bytes;
	return value;
}

/* Puts the next mutant together, or goes past it if it is before the first. */
static struct file unpack(struct file *pack, unsigned long long first, unsigned int *base,
			  bool *refused)
{
	struct file mutant = { NULL, 0 };
	bool wanted;
	uint32_t pieces;

	current = number(pack, 8);
	wanted = current >= first;
	*base = number(pack, 2);
	*refused = number(pack, 1);
	mutant.length = number(pack, 4);
	pieces = number(pack, 4);
	if (*base >= count_of_bases)
		stop("there is no base %u", *base);
	if (wanted) {
		/* The kernel reads as many bytes as are said, from the end of a mapping at worst. */
		mutant.data = calloc(1, mutant.length + 1);
		if (!mutant.data)
			stop("no memory");
		memcpy(mutant.data, bases[*base].data,
		       mutant.length < bases[*base].length ? mutant.length : bases[*base].length);
	}
	while (pieces--) {
		uint32_t offset = number(pack, 4), length = number(pack, 4);

		if (pack->length < length || offset > mutant.length ||
		    length > mutant.length - offset)
			stop("the pack is damaged");
		if (wanted)
			memcpy(mutant.data + offset, pack->data, length);
		pack->data += length;
		pack->length -= length;
	}
	return mutant;
}

static void read_lines(const char *directory, const char *name,
		       void (*each)(const char *line))
{
	struct file file = slurp(directory, name);
	char *text = strndup((char *)file.data, file.length), *line;

	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		each(line);
	free(text);
	free(file.data);
}

static void add_bug(const char *line)
{
	if (count_of_bugs == REGEXES || regcomp(&bugs[count_of_bugs], line, REG_EXTENDED | REG_NOSUB))
		stop("cannot look for '%s' in the kernel's log", line);
	count_of_bugs++;
}

static void add_name(const char *line)
{
	if (count_of_bases == BASES)
		stop("too many files");
	snprintf(names[count_of_bases++], sizeof(names[0]), "%s", line);
}

int main(int argc, char **argv)
{
	unsigned long long first, tried = 0;
	unsigned int i, base;
	struct file pack;
	char said[256];
	bool refused;

	if (argc < 3 || argc > 4)
		stop("usage: klp_hostile DIR FIRST [control]");
	first = strtoull(argv[2], NULL, 10);
	control = argc == 4;
	read_lines("/.vm", "kernel-bugs", add_bug);
	read_lines(argv[1], "names", add_name);
	for (i = 0; i < count_of_bases; i++) {
		char name[32];

		snprintf(name, sizeof(name), "base-%u.ko", i);
		bases[i] = slurp(argv[1], name);
	}
	pack = slurp(argv[1], "pack");
	kmsg_in = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	kmsg_out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (!count_of_bugs || kmsg_in < 0 || kmsg_out < 0)
		stop("cannot judge the kernel's log");
	/* From the beginning: what was logged until now counts for mutant 0. */
	read_log(said, sizeof(said));
	bug_found = false;

	while (pack.length) {
		struct file mutant = unpack(&pack, first, &base, &refused);

		if (!mutant.data)
			continue;
		try(mutant, names[base], refused);
		tried++;
		free(mutant.data);
		if (bug_found && pack.length)
			return 2;
	}
	/* What comes late is late, but not lost. */
	sleep(1);
	read_log(said, sizeof(said));
	check_effect(NULL);
	printf("tried %llu\n", tried);
	return 0;
}
