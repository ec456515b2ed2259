// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that counts the instructions that the guest executes between
 * marks (mark.h), those of the kernel and of programs apart. Time in which the
 * guest's only processor waits has none.
 *
 *   -plugin counter.so,out=FILE[,stop=ADDRESS,stopper=START-END][,profile=on]
 *
 * stop is where the function starts that runs while all processors are stopped, and
 * stopper is the code that calls it: a stop lasts from the one to the next
 * instruction of the other.
 *
 * FILE gets a line for every region, in the order in which they end:
 *
 *   region NUMBER kernel=N user=N stops=N longest_stop=N points=NUMBER:KERNEL:USER,...
 *
 * and with profile=on, before it, a line for every block of code that was executed:
 *
 *   block NUMBER ADDRESS INSTRUCTIONS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "qemu_plugin.h"

#define EXPORT __attribute__((visibility("default")))
#define POINTS 64

EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

struct count {
	uint64_t kernel, user;
};

/* A piece of code that QEMU has translated; the same may come again. */
struct block {
	struct block *next;
	uint64_t address, size, executed;
};

static qemu_plugin_u64 kernel_count, user_count;
static bool is_s390, profile;
static FILE *out;
static uint64_t stop, stopper_start, stopper_end;
static struct block *blocks;

static struct {
	unsigned int number;
	bool open, stopped;
	struct count start, points[POINTS];
	unsigned int point_numbers[POINTS], n_points;
	uint64_t stopped_at, longest_stop, stops;
} region;

static struct count now(void)
{
	return (struct count){
		.kernel = qemu_plugin_u64_get(kernel_count, 0),
		.user = qemu_plugin_u64_get(user_count, 0),
	};
}

static struct count in_region(void)
{
	struct count count = now();

	return (struct count){
		.kernel = count.kernel - region.start.kernel,
		.user = count.user - region.start.user,
	};
}

static void write_profile(void)
{
	for (struct block *block = blocks; block; block = block->next) {
		if (block->executed)
			fprintf(out, "block %u %#lx %lu\n", region.number, block->address,
				block->executed * block->size);
		block->executed = 0;
	}
}

static void close_region(void)
{
	struct count count = in_region();

	write_profile();
	fprintf(out, "region %u kernel=%lu user=%lu stops=%lu longest_stop=%lu points=",
		region.number, count.kernel, count.user, region.stops, region.longest_stop);
	for (unsigned int i = 0; i < region.n_points; i++)
		fprintf(out, "%s%u:%lu:%lu", i ? "," : "", region.point_numbers[i],
			region.points[i].kernel, region.points[i].user);
	fputc('\n', out);
	fflush(out);
	region.open = false;
	region.number++;
}

static void marked(unsigned int vcpu, void *data)
{
	unsigned int number = (uintptr_t)data;

	(void)vcpu;
	if (number == MARK_OPEN) {
		region.open = true;
		region.n_points = 0;
		region.longest_stop = region.stops = 0;
		region.stopped = false;
		region.start = now();
	} else if (!region.open) {
		return;
	} else if (number == MARK_CLOSE) {
		close_region();
	} else if (number >= MARK_POINT && region.n_points < POINTS) {
		region.point_numbers[region.n_points] = number - MARK_POINT;
		region.points[region.n_points++] = in_region();
	}
}

static void stop_begins(unsigned int vcpu, void *data)
{
	struct count count = now();

	(void)vcpu, (void)data;
	region.stopped = true;
	region.stopped_at = count.kernel + count.user;
}

static void stop_may_end(unsigned int vcpu, void *data)
{
	struct count count = now();
	uint64_t length = count.kernel + count.user - region.stopped_at;

	(void)vcpu, (void)data;
	if (!region.stopped)
		return;
	region.stopped = false;
	region.stops++;
	if (length > region.longest_stop)
		region.longest_stop = length;
}

static void block_executed(unsigned int vcpu, void *data)
{
	struct block *block = data;

	(void)vcpu;
	block->executed += region.open;
}

/* Whether the instruction is a mark, and which. */
static bool mark_number(const struct qemu_plugin_insn *insn, unsigned int *number)
{
	static const uint8_t nop_x86[] = { 0x0f, 0x1f, 0x84, 0x00 };
	static const uint8_t nop_s390[] = { 0xc0, 0x04 };
	uint8_t bytes[16];
	size_t size = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
	uint32_t value;

	if (is_s390) {
		if (size != 6 || memcmp(bytes, nop_s390, sizeof(nop_s390)))
			return false;
		value = (uint32_t)bytes[2] << 24 | bytes[3] << 16 | bytes[4] << 8 | bytes[5];
	} else {
		if (size != 8 || memcmp(bytes, nop_x86, sizeof(nop_x86)))
			return false;
		value = (uint32_t)bytes[7] << 24 | bytes[6] << 16 | bytes[5] << 8 | bytes[4];
	}
	*number = value & 0xffff;
	return value >> 16 == MARK_MAGIC;
}

/*
 * The measuring program is linked to low addresses. On s390 the kernel and other
 * programs have address spaces of their own, which look the same from here.
 */
static bool is_user(uint64_t address)
{
	return is_s390 ? address < 1ULL << 32 : !(address >> 63);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t start = qemu_plugin_tb_vaddr(tb);
	size_t size = qemu_plugin_tb_n_insns(tb);
	struct block *block;
	unsigned int number;

	(void)id;
	if (profile && (block = calloc(1, sizeof(*block)))) {
		block->address = start;
		block->size = size;
		block->next = blocks;
		blocks = block;
		qemu_plugin_register_vcpu_tb_exec_cb(tb, block_executed,
						     QEMU_PLUGIN_CB_NO_REGS, block);
	}
	if (start >= stopper_start && start < stopper_end)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, stop_may_end,
						     QEMU_PLUGIN_CB_NO_REGS, NULL);
	for (size_t i = 0; i < size; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);

		if (stop && address == stop)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, stop_begins,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
		if (mark_number(insn, &number))
			qemu_plugin_register_vcpu_insn_exec_cb(
				insn, marked, QEMU_PLUGIN_CB_NO_REGS,
				(void *)(uintptr_t)number);
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
			insn, QEMU_PLUGIN_INLINE_ADD_U64,
			is_user(address) ? user_count : kernel_count, 1);
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
			       char **argv);

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
			       char **argv)
{
	struct qemu_plugin_scoreboard *scores;

	if (info->version.min > QEMU_PLUGIN_API || info->version.cur < QEMU_PLUGIN_API) {
		fprintf(stderr, "counter: QEMU has versions %d to %d of its plugin interface, "
			"this is %d\n", info->version.min, info->version.cur, QEMU_PLUGIN_API);
		return -1;
	}
	if (!info->system_emulation || info->system.max_vcpus != 1) {
		fprintf(stderr, "counter: this is for machines with one processor\n");
		return -1;
	}
	is_s390 = !strcmp(info->target_name, "s390x");
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
		else if (!strcmp(argv[i], "profile=on"))
			profile = true;
		else if (sscanf(argv[i], "stop=%lx", &stop) != 1 &&
			 sscanf(argv[i], "stopper=%lx-%lx", &stopper_start, &stopper_end) != 2) {
			fprintf(stderr, "counter: unknown argument %s\n", argv[i]);
			return -1;
		}
	}
	if (!out) {
		fprintf(stderr, "counter: no file to write to\n");
		return -1;
	}
	scores = qemu_plugin_scoreboard_new(sizeof(struct count));
	kernel_count = (qemu_plugin_u64){ scores, offsetof(struct count, kernel) };
	user_count = (qemu_plugin_u64){ scores, offsetof(struct count, user) };
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
