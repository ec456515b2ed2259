// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks, for tests:
 *
 *	klp_tasks threads N	N threads that sleep; says "ready" when all are there
 *	klp_tasks forks N	N processes that make others, each of which ends at once
 *	klp_tasks enter KIND N	N processes that sleep in a system call, and enter it again
 *				whenever they return from it; says "ready" when all are asleep,
 *				and again after each line of its input
 *
 * These go on until their standard input ends.
 *
 *	klp_tasks probe KIND	makes that system call once, and says whether it got to the "old"
 *				function or to the "new" one of klp_test_enter_patch
 *
 * Tasks that are in a system call in some other way. They say "ready" where they can, and go
 * on when their standard input ends.
 *
 *	klp_tasks vfork		waits in vfork() for its child to end
 *	klp_tasks traced	is stopped by its tracer at the end of vfork()
 *	klp_tasks exit		is stopped by its tracer as it exits
 *
 * These wait for what others do, and then say "old" or "new":
 *
 *	klp_tasks exec FILE	a thread executes a program after a byte of input, and waits until
 *				the other one, which reads FILE, has ended; the program says it
 *	klp_tasks fork FILE	a thread makes a process after a byte of input, while another one
 *				reads FILE, which is to hold it up; the new process says it
 *	klp_tasks ring FILE	waits for a read of FILE by an io_uring, which a worker does; says
 *				how much was read
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a new function tells a task that is called klp_probe. */
#define IS_NEW ENOTNAM

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list arguments;
	int error = errno;

	va_start(arguments, format);
	fputs("klp_tasks: ", stderr);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void wait_for_end_of_input(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* wait_until_told: by a byte of input, that the other thread is where it is to be. */
static void wait_until_told(void)
{
	char byte;

	if (read(STDIN_FILENO, &byte, 1) != 1)
		die("nobody says that it may go on");
}

/* make_process: as fork() does, but what it makes does not survive its parent. */
static pid_t make_process(void)
{
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It may have ended before. */
		if (getppid() != parent)
			_exit(1);
	}
	return child;
}

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void threads(long count)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	while (count--) {
		errno = pthread_create(&thread, &attributes, sleep_on, NULL);
		if (errno)
			die("pthread_create");
	}
}

static void fork_on(void)
{
	pid_t child;

	for (;;) {
		child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0)
			_exit(1);
		waitpid(child, NULL, 0);
	}
}

static void forks(long count)
{
	while (count--)
		if (make_process() == 0)
			fork_on();
}

/*
 * Kinds of system calls that sleep. What they sleep for never comes, so that they return
 * when there is a signal, and then with EINTR.
 */
static int file;

static long do_pause(void)
{
	return pause();
}

static void begin_epoll(void)
{
	file = epoll_create1(0);
	if (file < 0)
		die("epoll_create1");
}

static long do_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(file, &event, 1, -1);
}

/* A pipe that has a name: shells read those that have none. */
static void begin_fifo(void)
{
	char name[32];

	snprintf(name, sizeof(name), "/tmp/klp_tasks.%d", getpid());
	if (mkfifo(name, 0600))
		die("mkfifo %s", name);
	file = open(name, O_RDWR);
	if (file < 0)
		die("%s", name);
	unlink(name);
}

static long do_read(void)
{
	char byte;

	return read(file, &byte, 1);
}

static long do_poll(void)
{
	struct pollfd waited = { .fd = file, .events = POLLIN };

	return poll(&waited, 1, -1);
}

static long do_futex(void)
{
	static int word;

	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void begin_tty(void)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY);

	if (terminal < 0)
		die("/dev/ptmx");
	if (unlockpt(terminal))
		die("unlockpt");
	file = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	if (file < 0)
		die("TIOCGPTPEER");
}

static void begin_unix(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	file = pair[0];
}

static void begin_wait(void)
{
	file = make_process();
	if (file == 0)
		sleep_on(NULL);
}

static long do_wait(void)
{
	return waitpid(file, NULL, 0);
}

static void begin_ring(void)
{
	struct io_uring_params params = {};

	file = syscall(SYS_io_uring_setup, 1, &params);
	if (file < 0)
		die("io_uring_setup");
}

static long do_ring(void)
{
	return syscall(SYS_io_uring_enter, file, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

/* These two do not sleep. */
static long do_vfork(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(0);
	return child;
}

static long do_exec(void)
{
	return syscall(SYS_execveat, AT_FDCWD, "/nonexistent", NULL, NULL, 0);
}

static const struct kind {
	const char *name;
	void (*begin)(void);
	long (*call)(void);
	/* What the old function does, if it does not sleep: an errno, or 0 for success. */
	int old;
} kinds[] = {
	{ "pause", NULL, do_pause, EINTR },
	{ "epoll", begin_epoll, do_epoll, EINTR },
	{ "poll", begin_fifo, do_poll, EINTR },
	{ "futex", NULL, do_futex, EINTR },
	{ "fifo", begin_fifo, do_read, EINTR },
	{ "tty", begin_tty, do_read, EINTR },
	{ "unix", begin_unix, do_read, EINTR },
	{ "wait", begin_wait, do_wait, EINTR },
	{ "ring", begin_ring, do_ring, EINTR },
	{ "vfork", NULL, do_vfork, 0 },
	{ "exec", NULL, do_exec, ENOENT },
};

static const struct kind *find_kind(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static void wait_until_asleep(pid_t process)
{
	char name[32], text[256], *state;
	ssize_t length;
	int stat;

	snprintf(name, sizeof(name), "/proc/%d/stat", process);
	stat = open(name, O_RDONLY);
	if (stat < 0)
		die("%s", name);
	for (;;) {
		length = pread(stat, text, sizeof(text) - 1, 0);
		if (length <= 0)
			die("%s", name);
		text[length] = 0;
		state = strrchr(text, ')');
		if (state && state[2] == 'S')
			break;
		usleep(1000);
	}
	close(stat);
}

static void enter(const struct kind *kind, long count)
{
	/* Which ones have come as far as to the system call. */
	volatile char *entering = mmap(NULL, count, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t *processes = calloc(count, sizeof(*processes));
	char byte;
	long i;

	if (entering == MAP_FAILED || !processes)
		die("%ld processes", count);
	for (i = 0; i < count; i++) {
		processes[i] = make_process();
		if (processes[i])
			continue;
		if (kind->begin)
			kind->begin();
		entering[i] = 1;
		while (kind->call() == -1 && errno == EINTR)
			;
		die("%s has returned", kind->name);
	}
	do {
		for (i = 0; i < count; i++) {
			while (!entering[i])
				usleep(1000);
			wait_until_asleep(processes[i]);
		}
		say("ready");
	} while (read(STDIN_FILENO, &byte, 1) > 0);
}

static void on_alarm(int unused)
{
}

static int probe(const struct kind *kind)
{
	/* More than one: the first may come too early. */
	struct itimerval timer = { { 0, 100000 }, { 0, 100000 } };
	struct sigaction action = { .sa_handler = on_alarm };
	long result;
	int error;

	if (kind->begin)
		kind->begin();
	sigaction(SIGALRM, &action, NULL);
	if (kind->old == EINTR)
		setitimer(ITIMER_REAL, &timer, NULL);
	prctl(PR_SET_NAME, "klp_probe");
	result = kind->call();
	error = result == -1 ? errno : 0;
	prctl(PR_SET_NAME, "klp_tasks");
	if (error != IS_NEW && error != kind->old) {
		errno = error;
		die("%s returned %ld", kind->name, result);
	}
	puts(error == IS_NEW ? "new" : "old");
	return 0;
}

static int wait_in_vfork(void)
{
	pid_t child = vfork();

	if (child < 0)
		die("vfork");
	if (child == 0) {
		if (write(STDOUT_FILENO, "ready\n", 6) == 6)
			wait_for_end_of_input();
		_exit(0);
	}
	return 0;
}

static void be_traced(void)
{
	ptrace(PTRACE_TRACEME);
	raise(SIGSTOP);
}

/* A process that ends in vfork() and one that ends otherwise, stopped in between. */
static int traced(const char *how)
{
	int exiting = !strcmp(how, "exit");
	int event = exiting ? PTRACE_EVENT_EXIT : PTRACE_EVENT_VFORK_DONE;
	long option = exiting ? PTRACE_O_TRACEEXIT : PTRACE_O_TRACEVFORKDONE;
	pid_t process = make_process();
	int status;

	if (process == 0) {
		be_traced();
		if (exiting)
			syscall(SYS_exit, 0);
		_exit(do_vfork() < 0);
	}
	if (waitpid(process, &status, 0) != process || !WIFSTOPPED(status))
		die("the process has not stopped");
	if (ptrace(PTRACE_SETOPTIONS, process, 0, option))
		die("PTRACE_SETOPTIONS");
	for (;;) {
		if (ptrace(PTRACE_CONT, process, 0, 0))
			die("PTRACE_CONT");
		if (waitpid(process, &status, 0) != process)
			die("waitpid");
		if (!WIFSTOPPED(status))
			break;
		if (status >> 8 == (SIGTRAP | event << 8)) {
			say("ready");
			wait_for_end_of_input();
		}
	}
	return status != 0;
}

static void *read_file(void *name)
{
	char text[64];
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		die("%s", (char *)name);
	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
	return NULL;
}

static void *execute(void *unused)
{
	static char *arguments[] = { "klp_tasks", "probe", "exec", NULL };
	static char *environment[] = { NULL };

	wait_until_told();
	syscall(SYS_execveat, AT_FDCWD, "/usr/bin/klp_tasks", arguments, environment, 0);
	die("execveat");
	return unused;
}

static int execute_beside(char *name)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, execute, NULL);
	if (errno)
		die("pthread_create");
	read_file(name);
	return 1;
}

static int fork_beside(char *name)
{
	pthread_t thread;
	pid_t child;
	int status;

	errno = pthread_create(&thread, NULL, read_file, name);
	if (errno)
		die("pthread_create");
	wait_until_told();
	child = syscall(SYS_fork);
	if (child < 0)
		die("fork");
	if (child == 0) {
		/* The library does not know that this is another process. */
		prctl(PR_SET_NAME, "klp_probe");
		child = syscall(SYS_fork);
		if (child == 0)
			_exit(0);
		if (child > 0)
			_exit(write(STDOUT_FILENO, "old\n", 4) != 4);
		_exit(errno != IS_NEW || write(STDOUT_FILENO, "new\n", 4) != 4);
	}
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	return status != 0;
}

static int read_by_ring(const char *name)
{
	struct io_uring_params params = {};
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
	unsigned int *array, *tail;
	static char text[64];
	char *ring;
	int fd;

	fd = open(name, O_RDWR);
	if (fd < 0)
		fd = open(name, O_RDONLY);
	if (fd < 0)
		die("%s", name);
	file = syscall(SYS_io_uring_setup, 1, &params);
	if (file < 0)
		die("io_uring_setup");
	if (!(params.features & IORING_FEAT_SINGLE_MMAP)) {
		errno = ENOSYS;
		die("io_uring");
	}
	ring = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(*done),
		    PROT_READ | PROT_WRITE, MAP_SHARED, file, IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE,
		       MAP_SHARED, file, IORING_OFF_SQES);
	if (ring == MAP_FAILED || entries == MAP_FAILED)
		die("mmap");
	entries[0] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.flags = IOSQE_ASYNC,
		.fd = fd,
		.addr = (unsigned long)text,
		.len = sizeof(text),
	};
	array = (unsigned int *)(ring + params.sq_off.array);
	tail = (unsigned int *)(ring + params.sq_off.tail);
	array[0] = 0;
	__atomic_store_n(tail, 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, file, 1, 0, 0, NULL, 0) != 1)
		die("io_uring_enter");
	while (do_ring() < 0)
		if (errno != EINTR)
			die("io_uring_enter");
	done = (struct io_uring_cqe *)(ring + params.cq_off.cqes);
	printf("%d\n", done->res);
	return 0;
}

static int usage(void)
{
	fputs("usage: klp_tasks threads|forks N | enter KIND N | probe KIND |\n"
	      "       klp_tasks vfork|traced|exit | exec|fork|ring FILE\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const struct kind *kind = argc > 2 ? find_kind(argv[2]) : NULL;
	long count = argc > 2 ? atol(argv[argc - 1]) : 0;

	if (argc == 2 && !strcmp(what, "vfork"))
		return wait_in_vfork();
	if (argc == 2 && (!strcmp(what, "traced") || !strcmp(what, "exit")))
		return traced(what);
	if (argc == 3 && !strcmp(what, "exec"))
		return execute_beside(argv[2]);
	if (argc == 3 && !strcmp(what, "fork"))
		return fork_beside(argv[2]);
	if (argc == 3 && !strcmp(what, "ring"))
		return read_by_ring(argv[2]);
	if (argc == 3 && kind && !strcmp(what, "probe"))
		return probe(kind);

	if (argc == 4 && count > 0 && kind && kind->old == EINTR && !strcmp(what, "enter")) {
		enter(kind, count);
	} else if (argc == 3 && count > 0 && !strcmp(what, "threads")) {
		threads(count);
		say("ready");
		wait_for_end_of_input();
	} else if (argc == 3 && count > 0 && !strcmp(what, "forks")) {
		forks(count);
		say("ready");
		wait_for_end_of_input();
	} else {
		return usage();
	}
	/* A process may have failed. */
	if (strcmp(what, "threads") && waitpid(-1, NULL, WNOHANG) != 0) {
		fputs("klp_tasks: a process has ended too soon\n", stderr);
		return 1;
	}
	return 0;
}
