/*
 * Runs instruction forms on the host CPU, one case after the other, and reports the machine state that each
 * leaves behind. Everything happens in a signal handler: it stores a case's registers into the interrupted
 * context, sigreturn loads them, the instruction runs, and the INT3 behind it (or its fault) comes back here.
 * So every register, RSP and RFLAGS included, is the case's own, and faults are results like any other.
 *
 * stdin: cases, stdout: results; see struct case_head and struct result below (oracle.ts writes and reads them).
 * Left out: segment loads of FS (the C library lives there) and SYSCALL (it would be a real one).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

/* Both areas lie below 4 GiB with nothing mapped around them; compatibility-mode code reaches them too. */
#define CODE_BASE 0x10000000ul
#define CODE_SIZE 4096ul
#define CODE_START 2048ul /* room on both sides: a short jump either way lands on an INT3 */
#define MEM_BASE 0x20000000ul
#define MEM_SIZE 8192ul
#define MAX_CODE 64u
#define TIMED_OUT 255u
#define FX_USED 416 /* FXSAVE bytes that hold state; the rest of the signal frame's image is the kernel's */

struct state {
	uint64_t gpr[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
	uint64_t rflags;
	uint8_t fx[512]; /* FXSAVE64 image */
};

struct case_head {
	uint32_t bits; /* 64 or 32 (compatibility mode) */
	uint32_t code_length;
	uint32_t mem_offset; /* bytes put at MEM_BASE + mem_offset before, and read from there after */
	uint32_t mem_length;
	struct state in;
	uint8_t code[MAX_CODE];
	/* mem_length bytes follow, padded to 8 */
};

struct result {
	uint32_t vector; /* x86 exception vector; 3 = ran to an INT3; TIMED_OUT = did not end */
	uint32_t error_code;
	uint64_t cr2;
	uint64_t rip_offset; /* from the first code byte to the faulting instruction or to the INT3 */
	struct state out;
	/* mem_length bytes follow, padded to 8 */
};

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static uint8_t *input, *output;
static size_t input_size, input_at, output_at;
static struct case_head *running;
static unsigned long serial, serial_at_tick;

static size_t padded(uint32_t length)
{
	return (length + 7ul) & ~7ul;
}

static void write_all(void)
{
	size_t at = 0;
	while (at < output_at) {
		ssize_t n = write(1, output + at, output_at - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(3);
		at += (size_t)n;
	}
}

static void store_result(ucontext_t *uc, uint32_t timed_out)
{
	greg_t *greg = uc->uc_mcontext.gregs;
	struct result *r = (struct result *)(output + output_at);
	r->vector = timed_out ? TIMED_OUT : (uint32_t)greg[REG_TRAPNO];
	r->error_code = timed_out ? 0 : (uint32_t)greg[REG_ERR];
	r->cr2 = r->vector == 14 ? (uint64_t)greg[REG_CR2] : 0;
	r->rip_offset = (uint64_t)greg[REG_RIP] - (r->vector == 3) - (CODE_BASE + CODE_START);
	for (int i = 0; i < 16; i++)
		r->out.gpr[i] = (uint64_t)greg[greg_of[i]];
	r->out.rflags = (uint64_t)greg[REG_EFL];
	memset(r->out.fx, 0, sizeof r->out.fx);
	memcpy(r->out.fx, uc->uc_mcontext.fpregs, FX_USED);
	memcpy(r + 1, (void *)(MEM_BASE + running->mem_offset), running->mem_length);
	output_at += sizeof *r + padded(running->mem_length);
}

static void load_case(ucontext_t *uc)
{
	greg_t *greg = uc->uc_mcontext.gregs;
	uint8_t *fpregs = (uint8_t *)uc->uc_mcontext.fpregs;
	memset((void *)CODE_BASE, 0xcc, CODE_SIZE);
	memcpy((void *)(CODE_BASE + CODE_START), running->code, running->code_length);
	memset((void *)MEM_BASE, 0, MEM_SIZE);
	memcpy((void *)(MEM_BASE + running->mem_offset), running + 1, running->mem_length);
	for (int i = 0; i < 16; i++)
		greg[greg_of[i]] = (greg_t)running->in.gpr[i];
	greg[REG_EFL] = (greg_t)running->in.rflags;
	greg[REG_RIP] = (greg_t)(CODE_BASE + CODE_START);
	/* cs in bits 0-15, ss in bits 48-63: Linux's user segments; the kernel takes ss only when told to. */
	greg[REG_CSGSFS] = (greg_t)(0x002b000000000000ull | (running->bits == 32 ? 0x23 : 0x33));
	uc->uc_flags |= 4; /* UC_STRICT_RESTORE_SS */
	memcpy(fpregs, running->in.fx, FX_USED);
	/* A component marked as untouched would be initialised instead of loaded: claim x87 and SSE. */
	*(uint64_t *)(fpregs + 512) |= 3;
}

static void next_case(ucontext_t *uc)
{
	serial++;
	if (input_at == input_size) {
		write_all();
		_exit(0);
	}
	running = (struct case_head *)(input + input_at);
	input_at += sizeof *running + padded(running->mem_length);
	load_case(uc);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)info;
	if (sig == SIGALRM) {
		int stuck = running && serial == serial_at_tick;
		serial_at_tick = serial;
		if (!stuck)
			return;
	}
	if (running)
		store_result(context, sig == SIGALRM);
	next_case(context);
}

static void *map_at(unsigned long base, size_t size, int protection)
{
	void *p = mmap((void *)base, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != (void *)base) {
		fprintf(stderr, "cannot map %#lx: %s\n", base, strerror(errno));
		exit(2);
	}
	return p;
}

static void read_input(void)
{
	size_t room = 1 << 20;
	input = malloc(room);
	for (;;) {
		ssize_t n = read(0, input + input_size, room - input_size);
		if (n == 0)
			break;
		if (n < 0)
			exit(2);
		input_size += (size_t)n;
		if (input_size == room && !(input = realloc(input, room *= 2)))
			exit(2);
	}
}

/* Checks every case before the first one runs and returns the bytes that all results need. */
static size_t check_input(void)
{
	size_t results = 0, at = 0;
	while (at < input_size) {
		const struct case_head *c = (const struct case_head *)(input + at);
		if (input_size - at < sizeof *c || c->code_length > MAX_CODE || c->mem_offset > MEM_SIZE ||
		    c->mem_length > MEM_SIZE - c->mem_offset ||
		    input_size - at - sizeof *c < padded(c->mem_length)) {
			fprintf(stderr, "malformed case at byte %zu\n", at);
			exit(2);
		}
		at += sizeof *c + padded(c->mem_length);
		results += sizeof(struct result) + padded(c->mem_length);
	}
	return results;
}

int main(void)
{
	read_input();
	output = malloc(check_input() + 8);
	map_at(CODE_BASE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	map_at(MEM_BASE, MEM_SIZE, PROT_READ | PROT_WRITE);

	stack_t alt = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
	sigaltstack(&alt, NULL);
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigfillset(&action.sa_mask);
	const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM};
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &action, NULL);
	struct itimerval tick = {{0, 200000}, {0, 200000}};
	setitimer(ITIMER_REAL, &tick, NULL);

	/* Compatibility-mode code addresses memory through DS and ES, which are null in a 64-bit process. */
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; int3" ::"r"(0x2b) : "memory");
	return 4; /* not reached: the last case exits in the handler */
}
