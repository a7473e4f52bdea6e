/* The floor of a streamed answer: for each line that is read, asks the provider and writes every piece of the answer as it comes.

   relay PORT PATH */
#include "http.h"

int main(int count, char **arguments) {
  if (count != 3) return 64;
  int provider = http_connect(atoi(arguments[1]));
  char line[4096];
  while (fgets(line, sizeof line, stdin)) {
    http_post(provider, arguments[2], "{}", 2);
    http_answer(provider, 1);
    if (write(1, "end of answer\n", 14) != 14) return 1;
  }
  return 0;
}
