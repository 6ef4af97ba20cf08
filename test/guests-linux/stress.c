/*
 * A program for a Linux guest that works its processors hard where emulators go wrong, and checks its own results:
 * fork storms, signals, mappings that come and go, code that is written while it runs (by the same thread, through an
 * alias, by another thread), and threads that contend for memory.
 *
 *   stress SECONDS SEED [NAME...]     each test (or those named) for its share of the time
 *
 * Prints one line a test, "stress: NAME ok N" or "stress: NAME FAILED: why", and last "stress: all ok" or
 * "stress: FAILED". Built static: cc -O2 -static -pthread. Linux, x86-64.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *test_name;
static uint64_t seed;

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char why[256];
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  printf("stress: %s FAILED: %s\n", test_name, why);
  fflush(stdout);
  _exit(1);
}

#define CHECK(claim)                                     \
  do {                                                   \
    if (!(claim)) fail("line %d: %s", __LINE__, #claim); \
  } while (0)

/* xorshift64 */
static uint64_t next(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double end_time;
static int is_over(void) { return seconds_now() >= end_time; }

/* FNV-1a: a value that depends on every byte. */
static uint64_t digest(const void *bytes, size_t length) {
  const uint8_t *b = bytes;
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < length; i++) h = (h ^ b[i]) * 0x100000001b3u;
  return h;
}

/* --- fork: children of children see their parent's memory as it was, and nobody sees theirs --- */

static uint8_t shared_page[3 * 4096];

static int child_work(int depth, uint64_t want) {
  if (digest(shared_page, sizeof shared_page) != want) return 1;
  for (size_t i = 0; i < sizeof shared_page; i += 4096) shared_page[i + depth] ^= 0x5a;
  if (depth == 0) return 0;
  uint64_t now = digest(shared_page, sizeof shared_page);
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(child_work(depth - 1, now));
  if (pid < 0) return errno == EAGAIN || errno == ENOMEM ? 0 : 2;
  if (waitpid(pid, &status, 0) != pid) return 3;
  if (digest(shared_page, sizeof shared_page) != now) return 4;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 5;
}

static long test_fork(void) {
  long count = 0;
  uint64_t random = seed;
  while (!is_over()) {
    for (size_t i = 0; i < sizeof shared_page; i += 8) *(uint64_t *)(shared_page + i) = next(&random);
    uint64_t want = digest(shared_page, sizeof shared_page);
    pid_t pids[8];
    int started = 0;
    for (int i = 0; i < 8; i++) {
      pid_t pid = fork();
      if (pid == 0) _exit(child_work(i % 3, want));
      if (pid > 0) pids[started++] = pid;
    }
    for (int i = 0; i < started; i++) {
      int status;
      CHECK(waitpid(pids[i], &status, 0) == pids[i]);
      if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("child ended with status %x", status);
    }
    CHECK(digest(shared_page, sizeof shared_page) == want);
    count += started;
  }
  return count;
}

/* --- exec: this program again, with arguments and environment intact --- */

static long test_exec(void) {
  long count = 0;
  while (!is_over()) {
    char argument[32];
    snprintf(argument, sizeof argument, "%lu", (unsigned long)(seed + count));
    pid_t pid = fork();
    if (pid == 0) {
      execl("/proc/self/exe", "stress", "--echo", argument, (char *)0);
      _exit(99);
    }
    CHECK(pid > 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (int)((seed + count) % 97));
    count++;
  }
  return count;
}

/* --- signals: whatever they interrupt finds its registers, flags and floating point as they were --- */

static atomic_long signals_seen;
static volatile double handler_float = 1.0;

static void on_signal(int number) {
  (void)number;
  atomic_fetch_add(&signals_seen, 1);
  /* Dirties x87, SSE and the flags. */
  for (int i = 0; i < 8; i++) handler_float = handler_float * 1.5 - (long double)handler_float / 3;
  if (handler_float > 1e100 || handler_float < -1e100) handler_float = 1.0;
}

/* A long computation in registers; its result depends on all of them. */
static uint64_t registers_work(uint64_t x) {
  uint64_t a = x, b = ~x, c = x * 3, d = x ^ 0x1234, e = x + 99, f = x - 7, g = x | 1, h = x << 3;
  for (int i = 0; i < 5000; i++) {
    a += b ^ (c >> 3);
    b = (b << 7 | b >> 57) + d;
    c ^= a * 0x9e3779b97f4a7c15u;
    d += e & ~f;
    e = (e << 11 | e >> 53) ^ g;
    f += h * 5 + (a < b);
    g ^= c + (d > e);
    h = (h << 13 | h >> 51) - a;
  }
  return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
}

static double float_work(double x) {
  double sum = 0;
  long double wide = 1;
  for (int i = 1; i < 2000; i++) {
    sum += x / (i + 0.5) - 1.0 / (x + i);
    wide = wide * 1.0000001L + 1.0L / i;
  }
  return sum + (double)wide;
}

static long test_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  uint64_t want = registers_work(seed);
  double want_float = float_work(3.25);
  struct itimerval every = {{0, 1500}, {0, 1500}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &every, NULL);
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) {
      if (kill(parent, SIGUSR1) != 0) _exit(0);
      usleep(700);
    }
  }
  while (!is_over()) {
    CHECK(registers_work(seed) == want);
    CHECK(float_work(3.25) == want_float);
    raise(SIGUSR1);
  }
  setitimer(ITIMER_REAL, &never, NULL);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  long seen = atomic_load(&signals_seen);
  CHECK(seen > 0);
  return seen;
}

/* --- mappings: what was written is there until it is unmapped, and faults where nothing may be touched --- */

static sigjmp_buf after_fault;
static volatile uintptr_t fault_address;

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  fault_address = (uintptr_t)info->si_addr;
  siglongjmp(after_fault, 1);
}

static __attribute__((noinline)) int faults_on_write(volatile uint8_t *at) {
  if (sigsetjmp(after_fault, 1) != 0) {
    CHECK(fault_address == (uintptr_t)at);
    return 1;
  }
  *at = 1;
  return 0;
}

static __attribute__((noinline)) int faults_on_read(volatile uint8_t *at) {
  if (sigsetjmp(after_fault, 1) != 0) {
    CHECK(fault_address == (uintptr_t)at);
    return 1;
  }
  (void)*at;
  return 0;
}

/* A store of eight bytes of which the last four must not be written. */
static __attribute__((noinline)) int faults_across(uint8_t *at) {
  if (sigsetjmp(after_fault, 1) != 0) return 1;
  *(volatile uint64_t *)at = 0x1122334455667788u;
  return 0;
}

static long test_maps(void) {
  enum { SLOTS = 64, MOST_PAGES = 40 };
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  struct { uint8_t *at; size_t pages; uint8_t mark; } slots[SLOTS] = {{0}};
  uint64_t random = seed | 1;
  long count = 0;
  while (!is_over()) {
    uint64_t r = next(&random);
    int i = r % SLOTS;
    size_t pages = slots[i].pages;
    if (slots[i].at == NULL) {
      pages = 1 + (r >> 8) % MOST_PAGES;
      uint8_t *at = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      CHECK(at != MAP_FAILED);
      for (size_t p = 0; p < pages; p++) CHECK(at[p * 4096] == 0 && at[p * 4096 + 4095] == 0);
      slots[i].at = at;
      slots[i].pages = pages;
      slots[i].mark = r >> 32;
      for (size_t p = 0; p < pages; p++) {
        at[p * 4096] = slots[i].mark + p;
        at[p * 4096 + 4095] = slots[i].mark ^ p;
      }
    } else {
      uint8_t *at = slots[i].at;
      for (size_t p = 0; p < pages; p++) {
        CHECK(at[p * 4096] == (uint8_t)(slots[i].mark + p));
        CHECK(at[p * 4096 + 4095] == (uint8_t)(slots[i].mark ^ p));
      }
      size_t page = (r >> 16) % pages;
      switch ((r >> 40) % 5) {
        case 0:
          CHECK(munmap(at, pages * 4096) == 0);
          CHECK(faults_on_read(at + page * 4096));
          slots[i].at = NULL;
          break;
        case 1:
          CHECK(mprotect(at + page * 4096, 4096, PROT_READ) == 0);
          CHECK(faults_on_write(at + page * 4096 + 8));
          CHECK(!faults_on_read(at + page * 4096 + 8));
          CHECK(mprotect(at + page * 4096, 4096, PROT_READ | PROT_WRITE) == 0);
          CHECK(!faults_on_write(at + page * 4096 + 8));
          break;
        case 2: {
          size_t more = 1 + (r >> 24) % MOST_PAGES;
          uint8_t *moved = mremap(at, pages * 4096, more * 4096, MREMAP_MAYMOVE);
          CHECK(moved != MAP_FAILED);
          for (size_t p = pages; p < more; p++) {
            CHECK(moved[p * 4096] == 0);
            moved[p * 4096] = slots[i].mark + p;
            moved[p * 4096 + 4095] = slots[i].mark ^ p;
          }
          slots[i].at = moved;
          slots[i].pages = more;
          break;
        }
        case 3:
          CHECK(madvise(at + page * 4096, 4096, MADV_DONTNEED) == 0);
          CHECK(at[page * 4096] == 0);
          at[page * 4096] = slots[i].mark + page;
          at[page * 4096 + 4095] = slots[i].mark ^ page;
          break;
        default: {
          /* An access that crosses from a page that is there into one that must not be touched. */
          if (pages < 2) break;
          CHECK(mprotect(at + (pages - 1) * 4096, 4096, PROT_NONE) == 0);
          uint8_t *edge = at + (pages - 1) * 4096 - 4;
          uint32_t before = *(uint32_t *)edge;
          CHECK(faults_across(edge));
          CHECK(*(uint32_t *)edge == before);
          CHECK(mprotect(at + (pages - 1) * 4096, 4096, PROT_READ | PROT_WRITE) == 0);
        }
      }
    }
    count++;
  }
  return count;
}

/* --- code: what is executed is what was written last --- */

typedef uint32_t (*code)(void);

/* MOV EAX, imm32; ADD EAX, imm32; RET */
static void write_code(uint8_t *at, uint32_t value, uint32_t more) {
  at[0] = 0xb8;
  memcpy(at + 1, &value, 4);
  at[5] = 0x05;
  memcpy(at + 6, &more, 4);
  at[10] = 0xc3;
}

static void serialize(void) {
  uint32_t a = 0, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)::"memory");
}

static long test_code(void) {
  size_t size = 8 * 4096;
  uint8_t *page = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  int file = memfd_create("code", 0);
  CHECK(file >= 0 && ftruncate(file, size) == 0);
  uint8_t *writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  uint8_t *executable = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
  CHECK(writable != MAP_FAILED && executable != MAP_FAILED);
  uint64_t random = seed | 1;
  long count = 0;
  while (!is_over()) {
    uint64_t r = next(&random);
    /* Anywhere, also across pages. */
    size_t at = (r >> 8) % (size - 16);
    uint32_t value = r >> 32, more = count;
    write_code(page + at, value, more);
    int calls = r % 64 == 0 ? 3000 : 1 + r % 7;
    for (int i = 0; i < calls; i++) CHECK(((code)(page + at))() == value + more);
    memcpy(page + at + 6, &value, 4);
    CHECK(((code)(page + at))() == value + value);
    write_code(writable + at, more, value);
    serialize();
    for (int i = 0; i < calls; i++) CHECK(((code)(executable + at))() == value + more);
    if (r % 16 == 0) {
      /* From code to data and back: what is compiled anew runs. */
      CHECK(mprotect(page + (at & ~4095u), 4096, PROT_READ | PROT_WRITE) == 0);
      page[at & ~4095u] = 0xc3;
      CHECK(mprotect(page + (at & ~4095u), 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
      ((void (*)(void))(page + (at & ~4095u)))();
    }
    count++;
  }
  return count;
}

static uint8_t *cross_writable, *cross_executable;
static atomic_uint cross_wanted, cross_done;
static atomic_int cross_stop;

static void *cross_runner(void *unused) {
  (void)unused;
  uint32_t last = 0;
  while (!atomic_load(&cross_stop)) {
    uint32_t wanted = atomic_load_explicit(&cross_wanted, memory_order_acquire);
    if (wanted == last) {
      sched_yield();
      continue;
    }
    serialize();
    uint32_t got = ((code)cross_executable)();
    if (got != wanted * 3) fail("another thread's code gave %x, not %x", got, wanted * 3);
    last = wanted;
    atomic_store_explicit(&cross_done, wanted, memory_order_release);
  }
  return NULL;
}

static long test_cross_code(void) {
  int file = memfd_create("code", 0);
  CHECK(file >= 0 && ftruncate(file, 8192) == 0);
  uint8_t *w = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  uint8_t *x = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
  CHECK(w != MAP_FAILED && x != MAP_FAILED);
  /* The second immediate lies on the second page. */
  cross_writable = w + 4096 - 6;
  cross_executable = x + 4096 - 6;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cross_runner, NULL) == 0);
  uint32_t count = 0;
  while (!is_over()) {
    count++;
    write_code(cross_writable, count, count * 2);
    atomic_store_explicit(&cross_wanted, count, memory_order_release);
    while (atomic_load_explicit(&cross_done, memory_order_acquire) != count) sched_yield();
  }
  atomic_store(&cross_stop, 1);
  pthread_join(thread, NULL);
  return count;
}

/* --- threads: nothing is lost between them --- */

enum { THREADS = 4 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long guarded, turns;
static atomic_long counted;
static struct { _Alignas(16) unsigned __int128 value; } wide;
static uint8_t split_area[8192] __attribute__((aligned(4096)));
static long done_by[THREADS];

static int add_wide(unsigned __int128 more) {
  unsigned __int128 seen = wide.value;
  uint64_t low = seen, high = seen >> 64;
  for (;;) {
    unsigned __int128 want = ((unsigned __int128)high << 64 | low) + more;
    uint64_t want_low = want, want_high = want >> 64;
    uint8_t swapped;
    __asm__ volatile("lock cmpxchg16b %1; setz %0"
                     : "=q"(swapped), "+m"(wide.value), "+a"(low), "+d"(high)
                     : "b"(want_low), "c"(want_high)
                     : "cc", "memory");
    if (swapped) return 1;
  }
}

static void *contender(void *argument) {
  long self = (long)argument, count = 0;
  uint64_t random = seed + self * 77 + 1;
  uint64_t *split = (uint64_t *)(split_area + 4092);
  while (!is_over()) {
    for (int i = 0; i < 100; i++, count++) {
      atomic_fetch_add(&counted, 1);
      add_wide(((unsigned __int128)1 << 64) + 1);
      /* A locked access across two pages. */
      __asm__ volatile("lock addq $1, %0" : "+m"(*split)::"cc", "memory");
      pthread_mutex_lock(&mutex);
      long before = guarded;
      if (next(&random) % 32 == 0) sched_yield();
      guarded = before + 1;
      pthread_mutex_unlock(&mutex);
    }
    /* In turn, by a condition variable. */
    pthread_mutex_lock(&mutex);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    while (turns % THREADS != self)
      if (pthread_cond_timedwait(&condition, &mutex, &until) == ETIMEDOUT) break;
    if (turns % THREADS == self) turns++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  done_by[self] = count;
  return NULL;
}

static long test_threads(void) {
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, contender, (void *)i) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  long sum = 0;
  for (int i = 0; i < THREADS; i++) sum += done_by[i];
  CHECK(atomic_load(&counted) == sum);
  CHECK(guarded == sum);
  CHECK((long)wide.value == sum && (long)(wide.value >> 64) == sum);
  uint64_t split;
  memcpy(&split, split_area + 4092, 8);
  CHECK((long)split == sum);
  return sum;
}

/* --- memory order: stores of one thread are seen by another in their order (Intel SDM vol. 3, 9.2) --- */

static volatile struct { _Alignas(64) uint64_t a; _Alignas(64) uint64_t b; } ordered;
static atomic_int order_stop;

static void *order_writer(void *unused) {
  (void)unused;
  for (uint64_t n = 1; !atomic_load_explicit(&order_stop, memory_order_relaxed); n++) {
    ordered.a = n;
    ordered.b = n;
  }
  return NULL;
}

static long test_order(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, order_writer, NULL) == 0);
  long count = 0;
  while (!is_over())
    for (int i = 0; i < 10000; i++, count++) {
      uint64_t b = ordered.b;
      uint64_t a = ordered.a;
      if (a < b) fail("the second store was seen before the first: %lu < %lu", a, b);
    }
  atomic_store(&order_stop, 1);
  pthread_join(thread, NULL);
  return count;
}

static const struct { const char *name; long (*run)(void); } TESTS[] = {
    {"fork", test_fork},       {"exec", test_exec}, {"signals", test_signals},
    {"maps", test_maps},       {"code", test_code}, {"cross-code", test_cross_code},
    {"threads", test_threads}, {"order", test_order},
};
enum { COUNT = sizeof TESTS / sizeof TESTS[0] };

static int is_wanted(const char *name, int count, char **names) {
  for (int i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return 1;
  return count == 0;
}

int main(int count, char **words) {
  if (count == 3 && strcmp(words[1], "--echo") == 0) return strtoul(words[2], NULL, 10) % 97;
  if (count < 3) {
    fprintf(stderr, "stress SECONDS SEED [NAME...]\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  int wanted = 0, failed = 0;
  for (int i = 0; i < COUNT; i++) wanted += is_wanted(TESTS[i].name, count - 3, words + 3);
  seed = strtoull(words[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i < COUNT; i++) {
    if (!is_wanted(TESTS[i].name, count - 3, words + 3)) continue;
    /* A process of its own: what it leaves behind, and how it dies, is its own affair. */
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      test_name = TESTS[i].name;
      end_time = seconds_now() + atof(words[1]) / wanted;
      long rounds = TESTS[i].run();
      printf("stress: %s ok %ld\n", test_name, rounds);
      fflush(stdout);
      _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) printf("stress: %s FAILED: signal %d\n", TESTS[i].name, WTERMSIG(status));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) failed = 1;
  }
  printf(failed ? "stress: FAILED\n" : "stress: all ok\n");
  return failed;
}
