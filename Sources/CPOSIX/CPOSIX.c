#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPOSIX.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __linux__
#include <malloc.h>
#endif
#include <poll.h>
#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#else
#include <stdlib.h>
#include <sys/event.h>
#endif

int cposix_pipe(int ends[2]) {
#ifdef __linux__
  return pipe2(ends, O_CLOEXEC);
#else
  if (pipe(ends) != 0) return -1;
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
  return 0;
#endif
}

int cposix_eventfd(void) {
#ifdef __linux__
  return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
#else
  errno = ENOSYS;
  return -1;
#endif
}

int cposix_set_pipe_size(int descriptor, int bytes) {
#ifdef __linux__
  return fcntl(descriptor, F_SETPIPE_SZ, bytes);
#else
  (void)descriptor;
  (void)bytes;
  errno = ENOSYS;
  return -1;
#endif
}

int cposix_is_fifo(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

int cposix_is_socket(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

long cposix_send_now(int descriptor, const void *bytes, unsigned long count) {
  int flags = MSG_DONTWAIT;
#ifdef MSG_NOSIGNAL
  flags |= MSG_NOSIGNAL;
#endif
  ssize_t sent;
  do sent = send(descriptor, bytes, count, flags);
  while (sent < 0 && errno == EINTR);
  return (long)sent;
}

long cposix_write_now(int descriptor, const void *bytes, unsigned long count) {
#if defined(__linux__) && defined(RWF_NOWAIT)
  struct iovec piece = {(void *)bytes, count};
  /* https://man7.org/linux/man-pages/man2/readv.2.html: for pipes since Linux 6.5 */
  return pwritev2(descriptor, &piece, 1, -1, RWF_NOWAIT);
#else
  (void)descriptor, (void)bytes, (void)count;
  errno = EOPNOTSUPP;
  return -1;
#endif
}

int cposix_unread_output(int descriptor) {
  int count = -1;
  if (cposix_is_fifo(descriptor)) return ioctl(descriptor, FIONREAD, &count) == 0 ? count : -1;
#ifdef __linux__
  return ioctl(descriptor, SIOCOUTQ, &count) == 0 ? count : -1;
#else
  return -1;
#endif
}

int cposix_unread_input(int descriptor) {
  int count = -1;
  return ioctl(descriptor, FIONREAD, &count) == 0 ? count : -1;
}

short cposix_poll_input_end(void) {
#ifdef POLLRDHUP
  return POLLRDHUP;
#else
  return 0;
#endif
}

int cposix_is_executable_file(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

int cposix_is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int cposix_file_identity(const char *path, unsigned long long *device, unsigned long long *number) {
#ifdef __linux__
  struct statx status;
  if (statx(AT_FDCWD, path, 0, STATX_INO, &status) != 0) return -1;
  *device = (unsigned long long)status.stx_dev_major << 32 | status.stx_dev_minor;
  *number = status.stx_ino;
#else
  struct stat status;
  if (stat(path, &status) != 0) return -1;
  *device = status.st_dev;
  *number = status.st_ino;
#endif
  return 0;
}

int cposix_random(void *bytes, unsigned long count) {
#ifdef __linux__
  unsigned char *at = bytes;
  while (count > 0) {
    ssize_t got = getrandom(at, count, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    at += got;
    count -= (unsigned long)got;
  }
#else
  arc4random_buf(bytes, count);
#endif
  return 0;
}

void cposix_error_text(int number, char *text, unsigned long room) {
#ifdef __linux__
  /* The GNU form may answer with a constant instead of filling the buffer. */
  const char *found = strerror_r(number, text, room);
  if (found != text) snprintf(text, room, "%s", found);
#else
  if (strerror_r(number, text, room) != 0) snprintf(text, room, "error %d", number);
#endif
}

void cposix_keep_freed_memory(int piece, int all) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, piece);
  mallopt(M_TRIM_THRESHOLD, all);
#else
  (void)piece, (void)all;
#endif
}

int cposix_forbid_core_dumps(void) {
  struct rlimit none = {0, 0};
  if (getrlimit(RLIMIT_CORE, &none) != 0) return -1;
  none.rlim_cur = 0;
  if (setrlimit(RLIMIT_CORE, &none) != 0) return -1;
#ifdef __linux__
  /* A core pattern that is a pipe does not heed the limit. */
  return prctl(PR_SET_DUMPABLE, 0);
#else
  return 0;
#endif
}

/* ThreadSanitizer does not follow a child that shares the memory. */
#if defined(__linux__) && defined(__has_feature)
#if !__has_feature(thread_sanitizer)
#define OWN_SPAWN 1
#endif
#elif defined(__linux__)
#define OWN_SPAWN 1
#endif

#ifdef OWN_SPAWN
/* What children begin with; 0 while the limit was not raised. Written before there is another thread. */
static rlim_t descriptors_given;
#endif

void cposix_raise_descriptor_limit(void) {
#ifdef OWN_SPAWN
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  rlim_t given = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) descriptors_given = given;
#endif
}

unsigned long cposix_descriptor_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < ~0UL ? (unsigned long)limit.rlim_cur : ~0UL;
}

unsigned long cposix_thread_number(void) {
  static atomic_ulong last;
  static _Thread_local unsigned long own;
  if (own == 0) own = atomic_fetch_add(&last, 1) + 1;
  return own;
}

void cposix_name_thread(const char *name) {
  char cut[16];
  snprintf(cut, sizeof cut, "%s", name);
#ifdef __linux__
  pthread_setname_np(pthread_self(), cut);
#else
  pthread_setname_np(cut);
#endif
}

int cposix_block_signals(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  return pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static volatile sig_atomic_t fault_status;

/* Async-signal-safe. The other threads go on until `_exit`, which is at once. */
static void end_at_fault(int number) {
  char text[] = "footbridge: internal error: signal ..\n";
  char *digits = strchr(text, '.');
  digits[0] = (char)('0' + number / 10);
  digits[1] = (char)('0' + number % 10);
  (void)!write(2, text, sizeof text - 1);
  _exit(fault_status);
}

void cposix_end_on_faults(int status) {
  static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT};
  fault_status = status;
  for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
    struct sigaction now, action = {.sa_handler = end_at_fault};
    sigemptyset(&action.sa_mask);
    if (sigaction(faults[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(faults[i], &action, NULL);
  }
}

int cposix_ignore_signal(int number) { return signal(number, SIG_IGN) == SIG_ERR ? -1 : 0; }

enum { most_allowed = 8 };
static int allowed[most_allowed];
static volatile sig_atomic_t allowed_count;

/* Async-signal-safe. */
static void allow_no_more(int number) {
  (void)number;
  for (int i = 0; i < allowed_count; i++) signal(allowed[i], SIG_DFL);
}

int cposix_allow_one_signal(const int *signals, int count) {
  if (count > most_allowed) return EINVAL;
  for (int i = 0; i < count; i++) allowed[i] = signals[i];
  allowed_count = count;
  struct sigaction action = {.sa_handler = allow_no_more, .sa_flags = SA_RESTART};
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  action.sa_mask = set;
  for (int i = 0; i < count; i++) {
    if (sigaction(signals[i], &action, NULL) != 0) return errno;
  }
  return pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int cposix_signal_descriptor(const int *signals, int count) {
#ifdef __linux__
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
#else
  /* A kqueue sees signals even when they are ignored, so the default action is switched off and nothing is handled asynchronously. */
  int queue = kqueue();
  if (queue < 0) return -1;
  fcntl(queue, F_SETFD, FD_CLOEXEC);
  for (int i = 0; i < count; i++) {
    struct kevent change;
    signal(signals[i], SIG_IGN);
    EV_SET(&change, signals[i], EVFILT_SIGNAL, EV_ADD, 0, 0, NULL);
    if (kevent(queue, &change, 1, NULL, 0, NULL) != 0) {
      close(queue);
      return -1;
    }
  }
  return queue;
#endif
}

int cposix_take_signal(int descriptor) {
#ifdef __linux__
  struct signalfd_siginfo info;
  ssize_t got;
  do got = read(descriptor, &info, sizeof info);
  while (got < 0 && errno == EINTR);
  if (got == (ssize_t)sizeof info) return (int)info.ssi_signo;
  return got < 0 && errno != EAGAIN ? -1 : 0;
#else
  struct kevent event;
  struct timespec now = {0, 0};
  int got = kevent(descriptor, NULL, 0, &event, 1, &now);
  return got == 1 ? (int)event.ident : got;
#endif
}

int cposix_open_process(int process) {
#if defined(__linux__) && defined(SYS_pidfd_open)
  return (int)syscall(SYS_pidfd_open, process, 0);
#else
  (void)process;
  errno = ENOSYS;
  return -1;
#endif
}

int cposix_await_exit(int process) {
  siginfo_t info;
  int result;
  do result = waitid(P_PID, (id_t)process, &info, WEXITED | WNOWAIT);
  while (result < 0 && errno == EINTR);
  return result;
}

int cposix_reap(int process, int *code, int *signal) {
  int status;
  pid_t got;
  do got = waitpid(process, &status, WNOHANG);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == ECHILD) return 2;
  if (got <= 0) return (int)got;
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  *signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return 1;
}

#ifndef OWN_SPAWN
static int add_actions(posix_spawn_file_actions_t *actions, const struct cposix_spawn *request) {
  int error = 0;
  if (request->working_folder) error = posix_spawn_file_actions_addchdir_np(actions, request->working_folder);
  /* A descriptor given its own number loses close-on-exec here. */
  for (int i = 0; i < 3 && !error; i++) error = posix_spawn_file_actions_adddup2(actions, request->descriptors[i], i);
#ifdef __linux__
  if (!error) error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
  return error;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct cposix_spawn *request) {
  sigset_t none, all;
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  sigemptyset(&none);
  sigfillset(&all);
#ifdef __linux__
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
#else
  flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
  int error = posix_spawnattr_setsigmask(attributes, &none);
  if (!error) error = posix_spawnattr_setsigdefault(attributes, &all);
  if (!error && request->new_process_group) {
    flags |= POSIX_SPAWN_SETPGROUP;
    error = posix_spawnattr_setpgroup(attributes, 0);
  }
  if (!error) error = posix_spawnattr_setflags(attributes, flags);
  return error;
}
#endif

/* Async-signal-safe. What is wrong with the other side of the pipe is not this one's business. */
static void announce(int descriptor, char sign, pid_t process) {
  char text[24];
  int at = sizeof text;
  text[--at] = '\n';
  do text[--at] = (char)('0' + process % 10);
  while ((process /= 10) > 0);
  text[--at] = ' ';
  text[--at] = sign;
  while (write(descriptor, text + at, sizeof text - (size_t)at) < 0 && errno == EINTR) {}
}

void cposix_take_back(int announce_descriptor, int process) { announce(announce_descriptor, '-', process); }

#ifdef OWN_SPAWN
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

static void close_from(unsigned first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
  struct rlimit limit;
  rlim_t end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
  for (rlim_t at = first; at < end; at++) close((int)at);
}

static void give_descriptor_limit(void) {
  struct rlimit limit;
  if (descriptors_given == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= descriptors_given) return;
  limit.rlim_cur = descriptors_given;
  setrlimit(RLIMIT_NOFILE, &limit);
}

struct birth {
  const struct cposix_spawn *request;
  volatile int error;
};

/* The child: shares the memory of the parent, whose thread waits. Only system calls from here on. */
static int become(void *context) {
  struct birth *birth = context;
  const struct cposix_spawn *request = birth->request;
  /* What the kernel takes as the default action; the C library's own call leaves out the signals that it uses itself. */
  static const unsigned long standard[8];
  sigset_t none;
  /* All signals are blocked, so the announcement cannot be cut short, not even by SIGPIPE. */
  if (request->new_process_group && setpgid(0, 0) != 0) goto failed;
  if (request->announce_descriptor >= 0) announce(request->announce_descriptor, '+', getpid());
  for (int number = 1; number < NSIG; number++) syscall(SYS_rt_sigaction, number, standard, NULL, NSIG / 8);
  if (request->working_folder && chdir(request->working_folder) != 0) goto failed;
  for (int i = 0; i < 3; i++) {
    int given = request->descriptors[i];
    if (given == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(given, i) < 0) goto failed;
  }
  close_from(3);
  give_descriptor_limit();
  sigemptyset(&none);
  /* A SIGPIPE of the announcement would be delivered now. */
  struct timespec now = {0, 0};
  sigset_t pipe_only;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  sigtimedwait(&pipe_only, NULL, &now);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(request->program, request->arguments, request->environment);
failed:
  birth->error = errno;
  _exit(127);
}

/* posix_spawn has no step that writes, and opens no descriptor of the process: once it runs, that may fail. So this is its own, as the C library does
   it, with all signals blocked meanwhile. */
static int spawn(const struct cposix_spawn *request, int *process, int *exit_descriptor) {
  struct birth birth = {request, 0};
  /* The child's, on that of the thread that waits for it. */
  _Alignas(16) char stack[32 << 10];
  const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  /* https://man7.org/linux/man-pages/man2/clone.2.html: since Linux 5.2, before it the flag has no effect; emulators may refuse it. */
  int made = clone(become, stack + sizeof stack, flags | CLONE_PIDFD, &birth, exit_descriptor);
  if (made < 0 && errno == EINVAL) made = clone(become, stack + sizeof stack, flags, &birth);
  if (made < 0) birth.error = errno;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (made > 0 && birth.error) {
    if (request->announce_descriptor >= 0) announce(request->announce_descriptor, '-', made);
    while (waitpid(made, NULL, 0) < 0 && errno == EINTR) {}
    if (*exit_descriptor >= 0) close(*exit_descriptor);
  }
  if (!birth.error) *process = made;
  return birth.error;
}
#endif

int cposix_spawn_process(const struct cposix_spawn *request, int *process, int *exit_descriptor) {
  *exit_descriptor = -1;
#ifdef OWN_SPAWN
  return spawn(request, process, exit_descriptor);
#else
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return error;
  error = posix_spawnattr_init(&attributes);
  if (!error) {
    pid_t made = 0;
    error = add_actions(&actions, request);
    if (!error) error = set_attributes(&attributes, request);
    if (!error) error = posix_spawn(&made, request->program, &actions, &attributes, request->arguments, request->environment);
    if (!error) *process = (int)made;
    if (!error && request->announce_descriptor >= 0) announce(request->announce_descriptor, '+', made);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return error;
#endif
}
