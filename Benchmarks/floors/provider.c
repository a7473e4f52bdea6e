/* A model on the loopback that costs little: HTTP/1.1 kept alive, a thread for each connection, an answer streamed in chunks. It looks at a request's
   path and length only, and writes its port before it listens to anything; it ends with its input.

   /call/...             one call of the tool `look`, with the request's length in its arguments
   /calls/N/...          so N times, then a text, over all connections together
   /text/...             a text with the request's length in it
   /whole/calls/N/...    the same, not streamed but in one piece of JSON, for a peer that asks so; OpenAI's format only
   /stream/N/GAP/...     N deltas, one every GAP microseconds, each with the nanosecond of the monotonic clock before it is written: "@NANOSECONDS "

   A path that ends with /messages is answered in the format of Anthropic's Messages API, any other in that of OpenAI's Chat Completions. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "http.h"

enum { HEAD = 1 << 14 };

static const char answer_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static atomic_int turns;

struct reply {
  int socket_descriptor, is_messages;
  size_t used;
  char bytes[HEAD];
};

static int flush(struct reply *reply) {
  size_t sent = 0;
  while (sent < reply->used) {
    ssize_t written = send(reply->socket_descriptor, reply->bytes + sent, reply->used - sent, MSG_NOSIGNAL);
    if (written <= 0) return 0;
    sent += written;
  }
  reply->used = 0;
  return 1;
}

/* One event in a chunk of its own. */
static void event(struct reply *reply, const char *name, const char *data) {
  char text[2048];
  int length = reply->is_messages ? snprintf(text, sizeof text, "event: %s\ndata: %s\n\n", name, data) : snprintf(text, sizeof text, "data: %s\n\n", data);
  reply->used += sprintf(reply->bytes + reply->used, "%x\r\n%s\r\n", length, text);
}

static void chunk(struct reply *reply, const char *delta, const char *finish) {
  char data[2048];
  snprintf(data, sizeof data,
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{%s},"
    "\"logprobs\":null,\"finish_reason\":%s}]}", delta, finish);
  event(reply, NULL, data);
}

static void begin(struct reply *reply) {
  reply->used = sprintf(reply->bytes, "%s", answer_head);
  if (!reply->is_messages) {
    chunk(reply, "\"role\":\"assistant\",\"content\":\"\"", "null");
    return;
  }
  event(reply, "message_start",
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],"
    "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}");
}

static void text(struct reply *reply, const char *words) {
  char data[512];
  if (reply->is_messages) {
    snprintf(data, sizeof data, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}", words);
    event(reply, "content_block_delta", data);
  } else {
    snprintf(data, sizeof data, "\"content\":\"%s\"", words);
    chunk(reply, data, "null");
  }
}

static void start_text(struct reply *reply) {
  if (reply->is_messages) event(reply, "content_block_start", "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
}

static void call(struct reply *reply, size_t size) {
  static atomic_int number;
  char data[512];
  int id = ++number;
  if (reply->is_messages) {
    snprintf(data, sizeof data, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_%d\",\"name\":\"look\",\"input\":{}}}", id);
    event(reply, "content_block_start", data);
    snprintf(data, sizeof data, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"id\\\":1,\\\"bytes\\\":%zu}\"}}", size);
    event(reply, "content_block_delta", data);
    return;
  }
  snprintf(data, sizeof data, "\"tool_calls\":[{\"index\":0,\"id\":\"call_%d\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]", id);
  chunk(reply, data, "null");
  snprintf(data, sizeof data, "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"id\\\":1,\\\"bytes\\\":%zu}\"}}]", size);
  chunk(reply, data, "null");
}

static int end(struct reply *reply, int is_call) {
  if (reply->is_messages) {
    event(reply, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
    event(reply, "message_delta", is_call
      ? "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}"
      : "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}");
    event(reply, "message_stop", "{\"type\":\"message_stop\"}");
  } else {
    chunk(reply, "", is_call ? "\"tool_calls\"" : "\"stop\"");
    event(reply, NULL, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"m\",\"choices\":[],"
      "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9,\"total_tokens\":10}}");
    event(reply, NULL, "[DONE]");
  }
  reply->used += sprintf(reply->bytes + reply->used, "0\r\n\r\n");
  return flush(reply);
}

static int stream(struct reply *reply, int count, long gap) {
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  start_text(reply);
  if (!flush(reply)) return 0;
  for (int delta = 0; delta < count; delta++) {
    next.tv_nsec += gap * 1000;
    next.tv_sec += next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
    if (gap) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    char words[64];
    sprintf(words, "@%jd ", (intmax_t)at.tv_sec * 1000000000 + at.tv_nsec);
    text(reply, words);
    if (!flush(reply)) return 0;
  }
  return end(reply, 0);
}

/* A chat completion that is not streamed. */
static int whole(struct reply *reply, size_t size, int is_call) {
  static atomic_int number;
  char body[1024];
  int length = is_call
    ? snprintf(body, sizeof body, "\"content\":null,\"tool_calls\":[{\"id\":\"call_%d\",\"type\":\"function\",\"function\":{\"name\":\"look\","
        "\"arguments\":\"{\\\"id\\\":1,\\\"bytes\\\":%zu}\"}}]},\"finish_reason\":\"tool_calls\"", ++number, size)
    : snprintf(body, sizeof body, "\"content\":\"%zu bytes\"},\"finish_reason\":\"stop\"", size);
  static const char before[] = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1790000000,\"model\":\"m\",\"choices\":[{\"index\":0,"
    "\"logprobs\":null,\"message\":{\"role\":\"assistant\",\"refusal\":null,";
  static const char after[] = "}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9,\"total_tokens\":10}}";
  reply->used = sprintf(reply->bytes, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s%s%s",
    sizeof before - 1 + length + sizeof after - 1, before, body, after);
  return flush(reply);
}

static int answer(struct reply *reply, const char *path, size_t size) {
  int count;
  long gap;
  if (sscanf(path, "/whole/calls/%d/", &count) == 1) {
    int is_call = turns++ < count;
    if (!is_call) turns = 0;
    return whole(reply, size, is_call);
  }
  begin(reply);
  if (sscanf(path, "/stream/%d/%ld/", &count, &gap) == 2) return stream(reply, count, gap);
  int is_call = !strncmp(path, "/call/", 6);
  if (sscanf(path, "/calls/%d/", &count) == 1 && !(is_call = turns++ < count)) turns = 0;
  if (is_call) {
    call(reply, size);
  } else {
    char words[64];
    sprintf(words, "%zu bytes", size);
    start_text(reply);
    text(reply, words);
  }
  return end(reply, is_call);
}

/* Requests one after another until the connection ends. */
static void *serve(void *argument) {
  int socket_descriptor = (intptr_t)argument;
  struct reply *reply = malloc(sizeof *reply);
  char *bytes = malloc(1 << 18), path[256];
  reply->socket_descriptor = socket_descriptor;
  for (size_t used = 0;;) {
    char *head_end = NULL;
    while (!(head_end = memmem(bytes, used, "\r\n\r\n", 4)) && used < HEAD) {
      ssize_t taken = read(socket_descriptor, bytes + used, HEAD - used);
      if (taken <= 0) goto closed;
      used += taken;
    }
    if (!head_end || sscanf(bytes, "POST %255s ", path) != 1) goto closed;
    *head_end = 0;
    char *length = strcasestr(bytes, "\r\nContent-Length:");
    size_t size = length ? strtoul(length + 17, NULL, 10) : 0, taken_already = used - (head_end + 4 - bytes);
    if (strcasestr(bytes, "\r\nExpect: 100")) send(socket_descriptor, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    for (size_t missing = size - taken_already; missing;) {
      ssize_t taken = read(socket_descriptor, bytes, missing < 1 << 18 ? missing : 1 << 18);
      if (taken <= 0) goto closed;
      missing -= taken;
    }
    used = 0;
    size_t path_length = strlen(path);
    reply->is_messages = path_length > 9 && !strcmp(path + path_length - 9, "/messages");
    if (!answer(reply, path, size)) goto closed;
  }
closed:
  close(socket_descriptor);
  free(bytes);
  free(reply);
  return NULL;
}

static void *wait_for_end(void *unused) {
  char byte;
  while (read(0, &byte, 1) > 0) {}
  exit(0);
  return unused;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) http_failed("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &size)) http_failed("getsockname");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_for_end, NULL)) http_failed("pthread_create");
  for (;;) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) http_failed("accept");
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection)) http_failed("pthread_create");
    pthread_detach(thread);
  }
}
