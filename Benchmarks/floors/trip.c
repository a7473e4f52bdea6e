/* Times children that answer a line with a line; microseconds, one series a command, taken in turns.

   trip start ROUNDS 0 LINE -- COMMAND... [-- COMMAND...]...       from spawning it to its first answer
   trip round ROUNDS BLOCK LINE -- COMMAND... [-- COMMAND...]...   there and back, BLOCK trips at a time, after ROUNDS / 10 that do not count

   A command may begin with `say LINE`: then it is told that line instead. */
#define _GNU_SOURCE
#include "child.h"

enum { MOST = 8 };

static double trip(struct child *child, const char *line, size_t length) {
  double before = now();
  write_all(child->input, line, length);
  child_line(child, &length);
  return now() - before;
}

int main(int count, char **arguments) {
  char **list[MOST];
  int children = commands(arguments, list, MOST);
  if (count < 7 || !children) {
    fprintf(stderr, "usage: trip start|round ROUNDS BLOCK LINE -- COMMAND...\n");
    return 64;
  }
  int rounds = atoi(arguments[2]), block = atoi(arguments[3]);
  char *lines[MOST];
  size_t lengths[MOST];
  double *times[MOST];
  char *buffers[MOST];
  for (int c = 0; c < children; c++) {
    const char *line = arguments[4];
    if (list[c][0] && list[c][1] && !strcmp(list[c][0], "say")) {
      line = list[c][1];
      list[c] += 2;
    }
    lengths[c] = strlen(line) + 1;
    lines[c] = malloc(lengths[c] + 1);
    sprintf(lines[c], "%s\n", line);
    times[c] = calloc(rounds, sizeof(double));
    buffers[c] = malloc(BUFFER);
    memset(buffers[c], 0, BUFFER);
  }
  if (!strcmp(arguments[1], "start")) {
    for (int round = -1; round < rounds; round++)
      for (int c = 0; c < children; c++) {
        double before = now();
        struct child child = child_start(list[c], buffers[c]);
        trip(&child, lines[c], lengths[c]);
        if (round >= 0) times[c][round] = now() - before;
        child_end(&child);
      }
  } else {
    struct child child[MOST];
    for (int c = 0; c < children; c++) {
      child[c] = child_start(list[c], buffers[c]);
      for (int round = 0; round < rounds / 10 + 1; round++) trip(&child[c], lines[c], lengths[c]);
    }
    for (int first = 0; first < rounds; first += block)
      for (int c = 0; c < children; c++)
        for (int round = first; round < first + block && round < rounds; round++) times[c][round] = trip(&child[c], lines[c], lengths[c]);
    for (int c = 0; c < children; c++) child_end(&child[c]);
  }
  printf("{");
  for (int c = 0; c < children; c++) {
    char name[16];
    sprintf(name, "%d", c);
    if (c) printf(",");
    print_series(name, times[c], rounds);
  }
  printf("}\n");
  return 0;
}
