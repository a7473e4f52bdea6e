/* What the floor programs share: children on pipes, lines, clocks. */
#ifndef CHILD_H
#define CHILD_H
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { BUFFER = 1 << 20 };

struct child {
  pid_t pid;
  int input, output;
  char *buffer;
  size_t start, end;
};

static inline void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Microseconds. */
static inline double clock_of(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t)) fail("clock_gettime");
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static inline double now(void) { return clock_of(CLOCK_MONOTONIC); }

/* All threads of the child. Finer than the ticks of /proc/PID/stat, which count the same. */
static inline double cpu_of(pid_t pid) {
  clockid_t clock;
  if (clock_getcpuclockid(pid, &clock)) fail("clock_getcpuclockid");
  return clock_of(clock);
}

/* `buffer` is kept from child to child, so that a start does not pay for it. */
static inline struct child child_start(char *const *arguments, char *buffer) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) fail("pipe2");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], 0);
  posix_spawn_file_actions_adddup2(&actions, from[1], 1);
  struct child child = {.input = to[1], .output = from[0], .buffer = buffer};
  int error = posix_spawnp(&child.pid, arguments[0], &actions, NULL, arguments, environ);
  if (error) {
    errno = error;
    fail(arguments[0]);
  }
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  return child;
}

static inline void child_end(struct child *child) {
  close(child->input);
  while (read(child->output, child->buffer, BUFFER) > 0) {}
  close(child->output);
  waitpid(child->pid, NULL, 0);
}

static inline void write_all(int descriptor, const char *bytes, size_t count) {
  while (count) {
    ssize_t written = write(descriptor, bytes, count);
    if (written < 0) fail("write");
    bytes += written;
    count -= written;
  }
}

/* The next line without its end, terminated by a zero; valid until the next call. */
static inline char *child_line(struct child *child, size_t *length) {
  size_t searched = child->start;
  for (;;) {
    char *line = child->buffer + child->start;
    char *end = memchr(child->buffer + searched, '\n', child->end - searched);
    if (end) {
      *end = 0;
      *length = end - line;
      child->start = end + 1 - child->buffer;
      return line;
    }
    if (child->start) {
      memmove(child->buffer, line, child->end - child->start);
      child->end -= child->start;
      child->start = 0;
    }
    searched = child->end;
    if (child->end == BUFFER) {
      fprintf(stderr, "a line is longer than %d bytes\n", BUFFER);
      exit(1);
    }
    ssize_t count = read(child->output, child->buffer + child->end, BUFFER - child->end);
    if (count < 0) fail("read");
    if (count == 0) {
      fprintf(stderr, "the child has ended\n");
      exit(1);
    }
    child->end += count;
  }
}

static inline char *file_text(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *text = malloc(size + 1);
  if (fread(text, 1, size, file) != (size_t)size) fail(path);
  text[size] = 0;
  fclose(file);
  return text;
}

/* Cuts `arguments` at each "--" into commands; answers how many there are. */
static inline int commands(char **arguments, char ***list, int most) {
  int count = 0;
  for (char **word = arguments; *word; word++) {
    if (strcmp(*word, "--")) continue;
    *word = NULL;
    if (count < most) list[count++] = word + 1;
  }
  return count;
}

static inline void print_series(const char *name, const double *values, int count) {
  printf("\"%s\":[", name);
  for (int i = 0; i < count; i++) printf("%s%.1f", i ? "," : "", values[i]);
  printf("]");
}
#endif
