/* The floor of streaming: for each line that is read, LINES lines of WIDTH bytes, each in a write of its own.

   lines LINES WIDTH */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count != 3) return 64;
  int lines = atoi(arguments[1]), width = atoi(arguments[2]);
  char *line = malloc(width), buffer[4096];
  memset(line, 'x', width);
  line[width - 1] = '\n';
  while (read(0, buffer, sizeof buffer) > 0)
    for (int i = 0; i < lines; i++)
      if (write(1, line, width) != width) return 1;
  return 0;
}
