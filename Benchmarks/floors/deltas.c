/* Reads a stream whose text has the moments at which it was written (provider.c), and prints by how much later it came, in microseconds.

   deltas HELLO RUN MARK END TIMES -- COMMAND...
     Sends the line HELLO and awaits an answer, unless it is empty; then TIMES times the line RUN, and reads until a line has END in it. Only lines
     with MARK in them are looked at. "wall" is from the first delta's moment to the last one's arrival, "cpu" that of the command. */
#define _GNU_SOURCE
#include "child.h"

enum { MOST = 1 << 20 };

int main(int count, char **arguments) {
  char **list[1] = {NULL};
  if (commands(arguments, list, 1) != 1 || count < 8) return 64;
  struct child child = child_start(list[0], malloc(BUFFER));
  double *late = calloc(MOST, sizeof(double)), cpu = 0, wall = 0;
  int found = 0, lines = 0;
  size_t length;
  if (*arguments[1]) {
    write_all(child.input, arguments[1], strlen(arguments[1]));
    write_all(child.input, "\n", 1);
    while (!strstr(child_line(&child, &length), "\"result\"")) {}
  }
  for (int time = 0; time < atoi(arguments[5]); time++) {
    double before = cpu_of(child.pid), first = 0, last = 0;
    write_all(child.input, arguments[2], strlen(arguments[2]));
    write_all(child.input, "\n", 1);
    for (;;) {
      char *line = child_line(&child, &length);
      double at = now();
      if (strstr(line, arguments[4])) break;
      if (!strstr(line, arguments[3])) continue;
      lines++;
      for (char *moment = line; (moment = strchr(moment, '@')) && found < MOST; moment++) {
        double written = strtoull(moment + 1, NULL, 10) / 1e3;
        if (!written) continue;
        if (!first) first = written;
        last = at;
        late[found++] = at - written;
      }
    }
    wall += last - first;
    cpu += cpu_of(child.pid) - before;
  }
  printf("{\"lines\":%d,\"wall\":%.1f,\"cpu\":%.1f,", lines, wall, cpu);
  print_series("late", late, found);
  printf("}\n");
  child_end(&child);
  return 0;
}
