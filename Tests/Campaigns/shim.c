/* A library to be preloaded into the program: it counts what the program does to its store and to its protocol, and at one such point it ends the
 * process, fails the call, or keeps a journal of what was written and synced. All of it is steered through one shared page (struct control), which
 * the test on the other side maps too; Tests/Campaigns/shim.py knows its layout.
 *
 *   SHIM_CONTROL=FILE   the shared page
 *   SHIM_STORE=PATH     files whose path begins so are the store's
 *   SHIM_JOURNAL=FILE   append a record of every write, sync and message
 *
 * A point is one call: a write, a sync, or a change of the shape of a file of the store; a write to the protocol, a read from it that brought
 * bytes; a write to a socket, which is the database server's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NONE, STORE_WRITE, STORE_SYNC, STORE_SHAPE, WIRE_IN, WIRE_OUT, SERVER_OUT, STORE_READ, STORE_OPEN, KINDS };
enum how { BEFORE, AFTER, TORN, STOP };
enum { MOST_POINTS = 32768 };

struct control {
  _Atomic uint64_t points;     /* so many were passed */
  uint64_t kill_at;            /* the point that ends the process, from 1; 0 for none */
  uint64_t kill_how;
  uint64_t fail_kinds;         /* a bit a kind */
  uint64_t fail_errno;         /* 0: a short write */
  uint64_t fail_from;          /* the first of these calls that fails, from 1 */
  uint64_t fail_count;         /* so many of them fail */
  _Atomic uint64_t fail_seen;
  _Atomic uint64_t fail_made;
  _Atomic int64_t clock_shift; /* nanoseconds that the wall clock is off */
  _Atomic uint64_t lock_tries; /* how often a lock on a side file of the store was asked for */
  uint64_t kind_of[MOST_POINTS];
};

static struct control *control;
static char store[4096];
static size_t store_length;
static int journal = -1;
static pid_t self;
static struct stat input, output;
static pthread_mutex_t journal_lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SHIM_CONTROL");
  if (!path) return;
  self = getpid();
  fstat(0, &input);
  fstat(1, &output);
  const char *prefix = getenv("SHIM_STORE");
  if (prefix) store_length = (size_t)snprintf(store, sizeof store, "%s", prefix);
  const char *log = getenv("SHIM_JOURNAL");
  if (log) journal = fcntl(REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT, 0600), F_DUPFD_CLOEXEC, 900);
  int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
  void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REAL(close)(fd);
  if (page == MAP_FAILED) abort();
  control = page;
}

/* A child between its start and its program shares this memory, and is not the process that is meant. */
static int is_on(void) { return control && getpid() == self; }

static int is_of_store(const char *path) { return store_length && strncmp(path, store, store_length) == 0; }

static int path_of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  path[length < 0 ? 0 : length] = 0;
  return length > 0;
}

static int same(const struct stat *a, const struct stat *b) { return a->st_ino == b->st_ino && a->st_dev == b->st_dev; }

/* What a write to the descriptor is. */
static enum kind kind_of_write(int fd, char *path, size_t size) {
  struct stat status;
  if (!is_on() || fd == journal || fstat(fd, &status) != 0) return NONE;
  if (S_ISREG(status.st_mode)) return path_of(fd, path, size) && is_of_store(path) ? STORE_WRITE : NONE;
  if (same(&status, &output)) return WIRE_OUT;
  return S_ISSOCK(status.st_mode) ? SERVER_OUT : NONE;
}

/* The caller holds the lock. */
static void write_down(char type, const char *path, uint64_t offset, const void *bytes, size_t count) {
  struct { char type; char pad[3]; uint32_t path; uint64_t offset, count; } head = {type, {0}, (uint32_t)strlen(path), offset, count};
  struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)bytes, bytes ? count : 0}};
  if (REAL(writev)(journal, parts, 3) < 0) abort();
}

static void note(char type, const char *path, uint64_t offset, const void *bytes, size_t count) {
  if (journal < 0 || !is_on()) return;
  pthread_mutex_lock(&journal_lock);
  write_down(type, path, offset, bytes, count);
  pthread_mutex_unlock(&journal_lock);
}

static void end_here(void) {
  kill(self, SIGKILL);
  for (;;) pause();
}

/* Counts a point; says whether it is the one to end at, and how. -1 for no. */
static int arrive(enum kind kind) {
  uint64_t number = atomic_fetch_add(&control->points, 1) + 1;
  if (number <= MOST_POINTS) control->kind_of[number - 1] = kind;
  if (number != control->kill_at) return -1;
  if (control->kill_how == STOP) kill(self, SIGSTOP);
  return control->kill_how == STOP ? -1 : (int)control->kill_how;
}

/* Whether this call is to fail: 0 no, an errno, or -1 for a short write. */
static int failure(enum kind kind) {
  if (!is_on() || !(control->fail_kinds >> kind & 1)) return 0;
  uint64_t number = atomic_fetch_add(&control->fail_seen, 1) + 1;
  if (number < control->fail_from || number - control->fail_from >= control->fail_count) return 0;
  atomic_fetch_add(&control->fail_made, 1);
  return control->fail_errno ? (int)control->fail_errno : -1;
}

/* Around a call that has no half: ends before or after it. */
#define AROUND(kind, call)                            \
  int failing = failure(kind);                        \
  int how = arrive(kind);                             \
  if (how == BEFORE || how == TORN) end_here();       \
  if (failing > 0) {                                  \
    if (kind == STORE_SYNC) note('f', path, 0, NULL, 0); \
    errno = failing;                                  \
    return -1;                                        \
  }                                                   \
  int result = call;                            \
  int error = errno;                            \
  if (how == AFTER) end_here();                 \
  errno = error

#define WRITE_LIKE(call, half)                                                                        \
  char path[4096] = "";                                                                               \
  enum kind kind = kind_of_write(fd, path, sizeof path);                                              \
  if (kind == NONE) {                                                                                 \
    struct stat status;                                                                               \
    if (journal >= 0 && is_on() && fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) {             \
      note('c', "", 0, bytes, count);                                                                 \
    }                                                                                                 \
    return call;                                                                                      \
  }                                                                                                   \
  int failing = failure(kind);                                                                        \
  int how = arrive(kind);                                                                             \
  if (how == BEFORE) end_here();                                                                      \
  if (how == TORN) {                                                                                  \
    (void)!half;                                                                                      \
    end_here();                                                                                       \
  }                                                                                                   \
  if (failing > 0) {                                                                                  \
    errno = failing;                                                                                  \
    return -1;                                                                                        \
  }                                                                                                   \
  /* Nothing is written down as synced between a message and the note of it. */                       \
  int is_noted = kind == WIRE_OUT && journal >= 0;                                                    \
  if (is_noted) pthread_mutex_lock(&journal_lock);                                                    \
  ssize_t result = failing && count > 1 ? half : call;                                                \
  int error = errno;                                                                                  \
  if (is_noted && result > 0) write_down('o', "", 0, bytes, (size_t)result);                          \
  if (is_noted) pthread_mutex_unlock(&journal_lock);                                                  \
  if (kind == STORE_WRITE && result > 0) note('w', path, (uint64_t)offset, bytes, (size_t)result);    \
  if (how == AFTER) end_here();                                                                       \
  errno = error;                                                                                      \
  return result

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  WRITE_LIKE(REAL(pwrite64)(fd, bytes, count, offset), REAL(pwrite64)(fd, bytes, count / 2, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  WRITE_LIKE(REAL(pwrite)(fd, bytes, count, offset), REAL(pwrite)(fd, bytes, count / 2, offset));
}

ssize_t write(int fd, const void *bytes, size_t count) {
  off_t offset = journal >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
  WRITE_LIKE(REAL(write)(fd, bytes, count), REAL(write)(fd, bytes, count / 2));
}

static char *join(const struct iovec *parts, int number, size_t *count) {
  static _Thread_local char *joined;
  *count = 0;
  for (int n = 0; n < number; n++) *count += parts[n].iov_len;
  joined = realloc(joined, *count + 1);
  if (!joined) abort();
  size_t at = 0;
  for (int n = 0; n < number; n++) {
    memcpy(joined + at, parts[n].iov_base, parts[n].iov_len);
    at += parts[n].iov_len;
  }
  return joined;
}

/* The half of it is its first part. */
ssize_t pwritev2(int fd, const struct iovec *parts, int number, off_t offset, int flags) {
  size_t count;
  char *bytes = join(parts, number, &count);
  WRITE_LIKE(REAL(pwritev2)(fd, parts, number, offset, flags), REAL(write)(fd, bytes, count / 2));
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
  size_t count;
  off_t offset = journal >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
  char *bytes = join(parts, number, &count);
  WRITE_LIKE(REAL(writev)(fd, parts, number), REAL(write)(fd, bytes, count / 2));
}

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
  off_t offset = 0;
  WRITE_LIKE(REAL(send)(fd, bytes, count, flags), REAL(send)(fd, bytes, count / 2, flags));
}

ssize_t read(int fd, void *bytes, size_t count) {
  ssize_t result = REAL(read)(fd, bytes, count);
  int error = errno;
  struct stat status;
  if (result > 0 && is_on() && fstat(fd, &status) == 0 && same(&status, &input)) {
    note('i', "", 0, bytes, (size_t)result);
    if (arrive(WIRE_IN) >= 0) end_here();
  }
  errno = error;
  return result;
}

#define READ_LIKE(call)                                                                 \
  char path[4096];                                                                      \
  if (is_on() && (control->fail_kinds >> STORE_READ & 1) && path_of(fd, path, sizeof path) && is_of_store(path)) { \
    int failing = failure(STORE_READ);                                                  \
    if (failing > 0) {                                                                  \
      errno = failing;                                                                  \
      return -1;                                                                        \
    }                                                                                   \
  }                                                                                     \
  return call

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) { READ_LIKE(REAL(pread64)(fd, bytes, count, offset)); }
ssize_t pread(int fd, void *bytes, size_t count, off_t offset) { READ_LIKE(REAL(pread)(fd, bytes, count, offset)); }

/* Folders count too: their sync makes a new file's name durable. */
static int is_synced(int fd, char *path, size_t size) {
  struct stat status;
  if (!is_on() || fstat(fd, &status) != 0 || !path_of(fd, path, size)) return 0;
  if (S_ISDIR(status.st_mode)) return strncmp(store, path, strlen(path)) == 0;
  return S_ISREG(status.st_mode) && is_of_store(path);
}

#define SYNC_LIKE(name)                             \
  int name(int fd) {                                \
    char path[4096];                                \
    if (!is_synced(fd, path, sizeof path)) return REAL(name)(fd); \
    AROUND(STORE_SYNC, REAL(name)(fd));             \
    if (result == 0) note('s', path, 0, NULL, 0);   \
    errno = error;                                  \
    return result;                                  \
  }
SYNC_LIKE(fsync)
SYNC_LIKE(fdatasync)

#define TRUNCATE_LIKE(name, type)                                                                         \
  int name(int fd, type length) {                                                                         \
    char path[4096];                                                                                      \
    if (!is_on() || !path_of(fd, path, sizeof path) || !is_of_store(path)) return REAL(name)(fd, length); \
    AROUND(STORE_SHAPE, REAL(name)(fd, length));                                                          \
    if (result == 0) note('t', path, (uint64_t)length, NULL, 0);                                          \
    errno = error;                                                                                        \
    return result;                                                                                        \
  }
TRUNCATE_LIKE(ftruncate, off_t)
TRUNCATE_LIKE(ftruncate64, off64_t)

int posix_fallocate(int fd, off_t offset, off_t length) {
  char path[4096];
  if (!is_on() || !path_of(fd, path, sizeof path) || !is_of_store(path)) return REAL(posix_fallocate)(fd, offset, length);
  AROUND(STORE_SHAPE, REAL(posix_fallocate)(fd, offset, length));
  return result;
}

int unlink(const char *path) {
  if (!is_on() || !is_of_store(path)) return REAL(unlink)(path);
  AROUND(STORE_SHAPE, REAL(unlink)(path));
  if (result == 0) note('u', path, 0, NULL, 0);
  errno = error;
  return result;
}

int rename(const char *path, const char *to) {
  if (!is_on() || !is_of_store(to)) return REAL(rename)(path, to);
  AROUND(STORE_SHAPE, REAL(rename)(path, to));
  if (result == 0) note('r', path, 0, to, strlen(to));
  errno = error;
  return result;
}

/* A folder on the way to the store. */
int mkdir(const char *path, mode_t mode) {
  if (!is_on() || strncmp(store, path, strlen(path)) != 0) return REAL(mkdir)(path, mode);
  AROUND(STORE_SHAPE, REAL(mkdir)(path, mode));
  if (result == 0) note('d', path, 0, NULL, 0);
  errno = error;
  return result;
}

/* Only a call that makes the file is a point. */
#define OPEN_LIKE(call)                                      \
  mode_t mode = 0;                                           \
  if (flags & (O_CREAT | O_TMPFILE)) {                       \
    va_list more;                                            \
    va_start(more, flags);                                   \
    mode = va_arg(more, mode_t);                             \
    va_end(more);                                            \
  }                                                          \
  if (!is_on() || !is_of_store(path)) return call;           \
  int refused = failure(STORE_OPEN);                         \
  if (refused > 0) {                                         \
    errno = refused;                                         \
    return -1;                                               \
  }                                                          \
  struct stat status;                                        \
  if (!(flags & O_CREAT) || stat(path, &status) == 0) {      \
    if (flags & O_TRUNC) note('t', path, 0, NULL, 0);        \
    return call;                                             \
  }                                                          \
  AROUND(STORE_SHAPE, call);                                 \
  if (result >= 0) note('n', path, 0, NULL, 0);              \
  errno = error;                                             \
  return result

int open(const char *path, int flags, ...) { OPEN_LIKE(REAL(open)(path, flags, mode)); }
int open64(const char *path, int flags, ...) { OPEN_LIKE(REAL(open64)(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { OPEN_LIKE(REAL(openat)(at, path, flags, mode)); }

static int locks(int fd, int command, void *argument) {
  char path[4096];
  if (command == F_OFD_SETLK && is_on() && path_of(fd, path, sizeof path) && is_of_store(path)) atomic_fetch_add(&control->lock_tries, 1);
  return REAL(fcntl)(fd, command, argument);
}

#define FCNTL_LIKE(name)                          \
  int name(int fd, int command, ...) {            \
    va_list more;                                 \
    va_start(more, command);                      \
    void *argument = va_arg(more, void *);        \
    va_end(more);                                 \
    return locks(fd, command, argument);          \
  }
FCNTL_LIKE(fcntl)
FCNTL_LIKE(fcntl64)

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = REAL(clock_gettime)(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME && is_on()) {
    int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + atomic_load(&control->clock_shift);
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
  }
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}
