/* What Glibc's Swift module hides, or what is clumsy from Swift. No system header here: the importer of this module must see the same C library as
   everybody else. Functions return what the system call returns, with errno set, unless they say otherwise. */
#ifndef CPOSIX_H
#define CPOSIX_H

#ifdef __cplusplus
extern "C" {
#endif

/* Both ends close-on-exec. */
int cposix_pipe(int ends[2]);

/* A close-on-exec, non-blocking counter; -1 with ENOSYS where there is none. */
int cposix_eventfd(void);

/* Asks for a bigger pipe; the size it has now, or -1. */
int cposix_set_pipe_size(int descriptor, int bytes);

/* 1 when the descriptor is a pipe or FIFO, else 0. */
int cposix_is_fifo(int descriptor);

int cposix_is_socket(int descriptor);

/* Sends without waiting what the socket takes: its count, or -1 (EAGAIN when it takes nothing). */
long cposix_send_now(int descriptor, const void *bytes, unsigned long count);

/* Writes to a pipe without waiting what it takes: its count, or -1 (EAGAIN when it takes nothing, EOPNOTSUPP when the system has no such write). */
long cposix_write_now(int descriptor, const void *bytes, unsigned long count);

/* How many bytes written to a pipe or socket the other side has not read; -1 when that cannot be known. */
int cposix_unread_output(int descriptor);

/* How many bytes can be read from a pipe or socket at once; -1 when that cannot be known. */
int cposix_unread_input(int descriptor);

/* The event of poll that tells that a socket's other side writes nothing more; 0 where there is none. */
short cposix_poll_input_end(void);

/* 1 when the path names a regular file that this process may execute, else 0. */
int cposix_is_executable_file(const char *path);

/* 1 when the path names a folder, else 0. */
int cposix_is_folder(const char *path);

/* Which file a path names, by device and number: 0, or -1. Where it can, it does not ask for times: the kernel notes that a file's times were seen, and
   then gives the next write a time of its own, which each fdatasync has to write besides the data (the "multigrain timestamps" of Linux 6.13). */
int cposix_file_identity(const char *path, unsigned long long *device, unsigned long long *number);

/* Fills the buffer from the kernel's generator: 0, or -1. */
int cposix_random(void *bytes, unsigned long count);

/* The text of an error number, always terminated. */
void cposix_error_text(int number, char *text, unsigned long room);

/* No core is dumped of this process, whatever the limits and the core pattern say: 0, or -1. */
int cposix_forbid_core_dumps(void);

/* A number that no other thread of the process has or had; what pthread_self gives is given again. */
unsigned long cposix_thread_number(void);

/* Memory in pieces up to the one size stays with the process when it is freed, up to the other size for each thread; glibc only. */
void cposix_keep_freed_memory(int piece, int all);

/* Raises the limit of descriptors as far as it goes; children get back what it was. Does nothing where they could not. */
void cposix_raise_descriptor_limit(void);

/* How many descriptors the process may have at once. */
unsigned long cposix_descriptor_limit(void);

/* Names the calling thread for debuggers and `top`; longer names are cut. */
void cposix_name_thread(const char *name);

/* Blocks the signals in the calling thread and in those it makes: 0, or an error number. */
int cposix_block_signals(const int *signals, int count);

int cposix_ignore_signal(int signal);

/* From here on a fault of the program (SIGSEGV, SIGILL, SIGABRT, ...) ends it with `status` and a word on standard error, instead of by the signal.
   One that something else handles already is left to it. */
void cposix_end_on_faults(int status);

/* From here on the first of the signals does nothing, and after it each does what it does by default; this thread takes them. 0, or an error number. */
int cposix_allow_one_signal(const int *signals, int count);

/* A pollable descriptor on which the signals arrive; they must be blocked. */
int cposix_signal_descriptor(const int *signals, int count);

/* Takes one signal from it without waiting: its number, 0 when there is none, or -1. */
int cposix_take_signal(int descriptor);

/* A pollable descriptor that is readable once the process has ended; -1 with ENOSYS where there is none. */
int cposix_open_process(int process);

/* Waits until the process has ended and leaves it to be reaped: 0, or -1. */
int cposix_await_exit(int process);

/* Reaps without waiting: 1 when it has ended, with its exit code and 0, or 0 and the signal; 2 when somebody else has reaped it; 0 when it
   is running; -1. */
int cposix_reap(int process, int *code, int *signal);

struct cposix_spawn {
  const char *program;        /* a path; a relative one counts from the working folder */
  char *const *arguments;     /* ends with NULL */
  char *const *environment;   /* ends with NULL */
  const char *working_folder; /* NULL: the parent's */
  int descriptors[3];         /* what becomes 0, 1 and 2: each at least 3, or its own number */
  int new_process_group;
  int announce_descriptor;    /* -1, or where "+ PID\n" is written for the child: on Linux by the child itself, before the program begins */
};

/* The child gets the three descriptors and no other, no blocked and no ignored signal. 0 with *process set, or an error number, and then no program
   has begun; a child that was announced and could not begin its program is taken back with "- PID\n". *exit_descriptor is that of
   `cposix_open_process`, where it can be had together with the child, or else -1. */
int cposix_spawn_process(const struct cposix_spawn *request, int *process, int *exit_descriptor);

/* Writes "- PID\n" for a child that is about to be reaped. */
void cposix_take_back(int announce_descriptor, int process);

#ifdef __cplusplus
}
#endif

#endif
