/* The floor of a big result: reads one line, writes it to a file that is synced, then answers with a line. For as many lines as come.
   With a port: before it answers, it sends the line to provider.c as a request, and reads the answer.

   payload FILE [PORT] */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http.h"

int main(int count, char **arguments) {
  if (count != 2 && count != 3) return 64;
  int provider = count == 3 ? http_connect(atoi(arguments[2])) : -1;
  fcntl(0, F_SETPIPE_SZ, 1 << 20);
  size_t room = 1 << 20, used = 0;
  char *line = malloc(room);
  for (;;) {
    if (room - used < 1 << 20) line = realloc(line, room *= 2);
    ssize_t taken = read(0, line + used, 1 << 20);
    if (taken <= 0) return 0;
    char *end = memchr(line + used, '\n', taken);
    used += taken;
    if (!end) continue;
    int file = open(arguments[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return 1;
    for (size_t start = 0; start < used;) {
      ssize_t written = write(file, line + start, used - start);
      if (written < 0) return 1;
      start += written;
    }
    if (fsync(file) || close(file)) return 1;
    if (provider >= 0) {
      http_post(provider, "/text/", line, used);
      http_answer(provider, -1);
    }
    if (write(1, "stored\n", 7) != 7) return 1;
    used = 0;
  }
}
