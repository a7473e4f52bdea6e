/* A fast parent of the bridge: answers every `tool.invoke`, and times what lies between two of them.

   parent one HELLO WARM WARMCALLS RUN BLOCK ANSWER -- BRIDGE... [-- FLOOR...]...
     Sends the lines HELLO and WARM, answers WARM's calls, then sends the line RUN. A call is timed from before its answer is written until the
     next `tool.invoke` is read: two commits of the bridge, the model's turn, and a pipe there and back. After each BLOCK of calls the floors
     (commits.c) do as many trips, with the sizes of the events that the bridge has just sent, and of the model's requests (provider.c tells them). A floor with the word `apart` before its command
     runs on another processor than this program does meanwhile; the bridge and the other floors run where the scheduler puts them.
     ANSWER may be @FILE.
   parent many HELLO RUN COUNT ANSWER -- BRIDGE...
     COUNT runs at once; "@" in RUN stands for the request's id. */
#define _GNU_SOURCE
#include <sched.h>

#include "child.h"

enum { MOST_FLOORS = 4, MOST_CALLS = 100000, ENVELOPE = 49, LARGE = 65536 };

static const char *answer;

/* The id of a `tool.invoke`, terminated; NULL for any other line. */
static char *invocation(char *line) {
  static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":\"", next[] = "\",\"method\":\"tool.invoke\"";
  if (strncmp(line, start, sizeof start - 1)) return NULL;
  char *id = line + sizeof start - 1, *end = strchr(id, '"');
  if (!end || strncmp(end, next, sizeof next - 1)) return NULL;
  *end = 0;
  return id;
}

/* Whether it answers one of our requests, whose ids are numbers. */
static int is_response(const char *line) {
  static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":";
  if (strncmp(line, start, sizeof start - 1) || line[sizeof start - 1] == '"') return 0;
  if (strstr(line, "\"error\":{\"code\"")) {
    fprintf(stderr, "%s\n", line);
    exit(1);
  }
  return 1;
}

static size_t write_answer(char *to, const char *id) { return sprintf(to, "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"result\":%s}\n", id, answer); }

static void send_line(struct child *child, const char *line) {
  write_all(child->input, line, strlen(line));
  write_all(child->input, "\n", 1);
}

static void await_response(struct child *child) {
  size_t length;
  while (!is_response(child_line(child, &length))) {}
}

/* Bytes of events: of the commit that ends with model.started, and of the one that ends with run.paused. */
static double sizes[2];

static void count_event(const char *line, size_t length) {
  const char *type = strstr(line, "\"seq\":");
  if (!type || type - line > 100 || !(type = strstr(type, "\"type\":\""))) return;
  type += 8;
  int second = !strncmp(type, "model.completed", 15) || !strncmp(type, "tool.started", 12) || !strncmp(type, "run.paused", 10);
  sizes[second] += length - ENVELOPE;
}

static cpu_set_t everywhere;

static void place(pid_t pid, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (sched_setaffinity(pid, sizeof set, &set)) fail("sched_setaffinity");
}

/* The processor with that number among those that may be used; the last when there are fewer. */
static int processor(int number) {
  int found = 0;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &everywhere)) {
      found = i;
      if (number-- == 0) break;
    }
  return found;
}

/* The size of the request that led to this call; 0 when the model does not tell it. */
static int request_size(const char *line) {
  const char *size = strncmp(line, "{\"jsonrpc\":\"2.0\",\"id\":\"", 23) ? NULL : strstr(line, "\"bytes\":");
  return size ? atoi(size + 8) : 0;
}

/* A large answer is stored beside its event, so its bytes are no part of `first` yet. */
static double floor_trip(struct child *child, int first, int second, int request) {
  char line[64];
  int payload = strlen(answer) > LARGE ? strlen(answer) : 0;
  size_t length = sprintf(line, "%d %d %d %d\n", first + payload, second, request, payload);
  double before = now();
  write_all(child->input, line, length);
  write_all(child->input, answer, payload);
  child_line(child, &length);
  return now() - before;
}

static void print_numbered(int number, const double *values, int count, const char *after) {
  char name[16];
  sprintf(name, "%d", number);
  print_series(name, values, count);
  printf("%s", after);
}

static int one(char **arguments, char ***list, int children) {
  int warm_calls = atoi(arguments[2]), block = atoi(arguments[4]), floors = children - 1, calls = 0, waiting = 0;
  answer = arguments[5][0] == '@' ? file_text(arguments[5] + 1) : arguments[5];
  char *reply = malloc(strlen(answer) + 128);
  struct child child[1 + MOST_FLOORS];
  int is_apart[1 + MOST_FLOORS] = {0};
  sched_getaffinity(0, sizeof everywhere, &everywhere);
  for (int c = 0; c < children; c++) {
    is_apart[c] = !strcmp(list[c][0], "apart");
    child[c] = child_start(list[c] + is_apart[c], malloc(BUFFER));
    if (is_apart[c]) place(child[c].pid, processor(1));
  }
  double *times[1 + MOST_FLOORS], floor_cpu[1 + MOST_FLOORS] = {0};
  /* Processor time of a call, one figure a block. */
  double *block_cpu[1 + MOST_FLOORS], block_began = 0;
  int *requests = calloc(MOST_CALLS, sizeof(int)), blocks = 0;
  for (int c = 0; c < children; c++) {
    times[c] = calloc(MOST_CALLS, sizeof(double));
    block_cpu[c] = calloc(MOST_CALLS, sizeof(double));
  }
  struct child *bridge = &child[0];
  send_line(bridge, arguments[0]);
  await_response(bridge);
  send_line(bridge, arguments[1]);
  for (size_t length;;) {
    char *line = child_line(bridge, &length), *id = invocation(line);
    if (id) write_all(bridge->input, reply, write_answer(reply, id));
    else if (is_response(line)) break;
  }
  for (int f = 1; f <= floors; f++)
    for (int trip = 0; trip < warm_calls; trip++) floor_trip(&child[f], 700, 1100, 0);
  for (int f = 1; f <= floors; f++) floor_cpu[f] = cpu_of(child[f].pid);
  double cpu = cpu_of(bridge->pid), sent = 0, total[2] = {0};
  send_line(bridge, arguments[3]);
  for (size_t length;;) {
    char *line = child_line(bridge, &length);
    double read_at = now();
    requests[calls] = request_size(line);
    char *id = invocation(line);
    if (!id && is_response(line)) break;
    if (!id) {
      count_event(line, length);
      continue;
    }
    size_t bytes = write_answer(reply, id);
    if (waiting) {
      times[0][calls++] = read_at - sent;
      if (calls == MOST_CALLS) break;
      if (calls % block == 0) {
        double block_ended = cpu_of(bridge->pid);
        block_cpu[0][blocks] = (block_ended - block_began) / block;
        block_began = block_ended;
        for (int f = 1; f <= floors; f++) {
          if (is_apart[f]) place(0, processor(0));
          double floor_began = cpu_of(child[f].pid);
          for (int trip = calls - block; trip < calls; trip++)
            times[f][trip] = floor_trip(&child[f], sizes[0] / block, sizes[1] / block, requests[trip]);
          block_cpu[f][blocks] = (cpu_of(child[f].pid) - floor_began) / block;
          if (is_apart[f]) sched_setaffinity(0, sizeof everywhere, &everywhere);
        }
        blocks++;
        for (int i = 0; i < 2; i++) {
          total[i] += sizes[i];
          sizes[i] = 0;
        }
      }
    } else {
      sizes[0] = sizes[1] = 0;
      block_began = cpu_of(bridge->pid);
    }
    waiting = 1;
    sent = now();
    write_all(bridge->input, reply, bytes);
  }
  int measured = calls / block * block;
  printf("{\"cpu\":[%.2f", (cpu_of(bridge->pid) - cpu) / (calls + 1));
  for (int f = 1; f <= floors; f++) printf(",%.2f", (cpu_of(child[f].pid) - floor_cpu[f]) / measured);
  printf("],\"commitBytes\":[%.0f,%.0f],\"requestBytes\":%d,\"blockCPU\":{", total[0] / measured, total[1] / measured, requests[measured - 1]);
  for (int c = 0; c < children; c++) print_numbered(c, block_cpu[c], blocks, c == children - 1 ? "}," : ",");
  for (int c = 0; c < children; c++) print_numbered(c, times[c], measured, c == children - 1 ? "}\n" : ",");
  for (int c = 0; c < children; c++) child_end(&child[c]);
  return 0;
}

static int many(char **arguments, char ***list) {
  int runs = atoi(arguments[2]), calls = 0;
  answer = arguments[3];
  const char *at = strchr(arguments[1], '@');
  if (!at) return 64;
  struct child bridge = child_start(list[0], malloc(BUFFER));
  send_line(&bridge, arguments[0]);
  await_response(&bridge);
  char *text = malloc((strlen(arguments[1]) + 16) * runs + 1), *to = text;
  for (int run = 0; run < runs; run++) to += sprintf(to, "%.*s%d%s\n", (int)(at - arguments[1]), arguments[1], run + 100, at + 1);
  double cpu = cpu_of(bridge.pid), before = now();
  write_all(bridge.input, text, to - text);
  size_t room = (strlen(answer) + 128) * 256, used = 0, length;
  char *replies = malloc(room + 4096);
  for (int ended = 0; ended < runs;) {
    /* All answers to what was read together leave together. */
    char *line = child_line(&bridge, &length), *id = invocation(line);
    if (id) {
      used += write_answer(replies + used, id);
      calls++;
    } else if (is_response(line)) {
      ended++;
    }
    int has_more = memchr(bridge.buffer + bridge.start, '\n', bridge.end - bridge.start) != NULL;
    if (used && (!has_more || used > room - strlen(answer) - 256)) {
      write_all(bridge.input, replies, used);
      used = 0;
    }
  }
  double wall = now() - before;
  printf("{\"calls\":%d,\"wall\":%.1f,\"cpu\":%.1f}\n", calls, wall, cpu_of(bridge.pid) - cpu);
  child_end(&bridge);
  return 0;
}

int main(int count, char **arguments) {
  char **list[1 + MOST_FLOORS];
  int children = commands(arguments, list, 1 + MOST_FLOORS);
  if (count > 9 && children && !strcmp(arguments[1], "one")) return one(arguments + 2, list, children);
  if (count > 7 && children && !strcmp(arguments[1], "many")) return many(arguments + 2, list);
  fprintf(stderr, "usage: parent one|many ... -- COMMAND...\n");
  return 64;
}
