/* Copies a buffer of so many MB, after touching both sides: milliseconds, one line a copy.

   copy MEGABYTES TIMES */
#define _GNU_SOURCE
#include "child.h"

int main(int count, char **arguments) {
  if (count != 3) return 64;
  size_t size = (size_t)atoi(arguments[1]) * 1000000;
  char *from = malloc(size), *to = malloc(size);
  memset(from, 'x', size);
  memset(to, 'y', size);
  for (int i = 0; i < atoi(arguments[2]); i++) {
    double before = now();
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
    printf("%.3f\n", (now() - before) / 1000);
  }
  return 0;
}
