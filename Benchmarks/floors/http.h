/* What the floor programs share of HTTP: one connection to a loopback provider that is kept alive, and an exchange on it. */
#ifndef HTTP_H
#define HTTP_H
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static inline void http_failed(const char *what) {
  perror(what);
  exit(1);
}

static inline int http_connect(int port) {
  int on = 1, socket_descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (socket_descriptor < 0 || connect(socket_descriptor, (struct sockaddr *)&address, sizeof address)) http_failed("connect");
  setsockopt(socket_descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket_descriptor;
}

static inline void http_post(int socket_descriptor, const char *path, char *body, size_t size) {
  char head[512];
  int length = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path, size);
  struct iovec parts[2] = {{head, length}, {body, size}};
  for (int first = 0; first < 2;) {
    ssize_t written = writev(socket_descriptor, parts + first, 2 - first);
    if (written < 0) http_failed("writev");
    for (; first < 2 && (size_t)written >= parts[first].iov_len; first++) written -= parts[first].iov_len;
    if (first < 2) {
      parts[first].iov_base = (char *)parts[first].iov_base + written;
      parts[first].iov_len -= written;
    }
  }
}

/* Reads an answer in chunks to its end, which provider.c always writes in one piece with what is before it. Each piece goes to `output` unless that is negative. */
static inline void http_answer(int socket_descriptor, int output) {
  static const char end[] = "\r\n0\r\n\r\n";
  static char buffer[1 << 16];
  for (;;) {
    ssize_t taken = read(socket_descriptor, buffer, sizeof buffer);
    if (taken <= 0) http_failed("the provider");
    if (output >= 0 && write(output, buffer, taken) != taken) http_failed("write");
    if (taken >= 7 && !memcmp(buffer + taken - 7, end, 7)) return;
  }
}
#endif
