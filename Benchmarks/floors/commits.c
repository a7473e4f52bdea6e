/* The floor of a tool call: for a line with four sizes, two commits of so many bytes, then a line back.
   With a port: between the two, an HTTP exchange with provider.c, whose request has the third size, on a connection kept alive.
   The fourth is what follows the line and is read first: the result of a tool that is not small.

   commits PATH bare [PORT]   one row of that size a commit
   commits PATH same [PORT]   what the bridge's store does in a commit: the run's row read and updated, three rows of a third each inserted
   commits PATH libraries PORT   the same, and libcurl makes the exchange, with the headers that the bridge sends

   Page size, log and syncing are those of the bridge's store (Sources/SQLiteStore). */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http.h"

static sqlite3 *database;

static void check(int result) {
  if (result == SQLITE_OK || result == SQLITE_DONE || result == SQLITE_ROW) return;
  fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(database));
  exit(1);
}

static sqlite3_stmt *prepare(const char *sql) {
  sqlite3_stmt *statement;
  check(sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
  return statement;
}

static void run(sqlite3_stmt *statement) {
  check(sqlite3_step(statement));
  check(sqlite3_reset(statement));
}

static sqlite3_stmt *begin, *commit, *head, *update, *insert;
static const char run_id[16] = "sixteen bytes id";

static void commit_bytes(int size, int rows, const char *bytes) {
  static long key = 1L << 40;
  run(begin);
  if (rows > 1) {
    check(sqlite3_bind_blob(head, 1, run_id, 16, SQLITE_STATIC));
    run(head);
    check(sqlite3_bind_int64(update, 1, key));
    run(update);
  }
  for (int row = 0; row < rows; row++) {
    check(sqlite3_bind_int64(insert, 1, key += 16));
    check(sqlite3_bind_blob(insert, 2, bytes, size / rows, SQLITE_STATIC));
    run(insert);
  }
  run(commit);
}

static CURL *curl;

static size_t drop(char *bytes, size_t size, size_t count, void *context) {
  (void)bytes, (void)context;
  return size * count;
}

static void curl_check(CURLcode code) {
  if (code == CURLE_OK) return;
  fprintf(stderr, "libcurl: %s\n", curl_easy_strerror(code));
  exit(1);
}

static void curl_begin(const char *port) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%s/call/", port);
  struct curl_slist *headers = NULL;
  const char *lines[] = {"Content-Type: application/json", "Accept: text/event-stream, application/json", "User-Agent: commits", "Authorization: Bearer x", "Expect:"};
  for (size_t line = 0; line < sizeof lines / sizeof *lines; line++) headers = curl_slist_append(headers, lines[line]);
  curl = curl_easy_init();
  curl_check(curl_easy_setopt(curl, CURLOPT_URL, url));
  curl_check(curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers));
  curl_check(curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop));
}

static void curl_post(const char *body, long size) {
  curl_check(curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body));
  curl_check(curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, size));
  curl_check(curl_easy_perform(curl));
}

int main(int count, char **arguments) {
  if (count != 3 && count != 4) return 64;
  int rows = strcmp(arguments[2], "bare") ? 3 : 1;
  int provider = -1;
  if (!strcmp(arguments[2], "libraries")) curl_begin(arguments[3]);
  else if (count == 4) provider = http_connect(atoi(arguments[3]));
  check(sqlite3_open_v2(arguments[1], &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
  check(sqlite3_exec(database, "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL", NULL, NULL, NULL));
  int on = 1;
  sqlite3_file_control(database, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
  sqlite3_wal_autocheckpoint(database, 1000);
  check(sqlite3_exec(database,
    "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY;"
    "CREATE TABLE log (key INTEGER PRIMARY KEY, sequence INTEGER, type TEXT, event BLOB, hidden BLOB);"
    "CREATE TABLE runs (number INTEGER PRIMARY KEY, run_id BLOB NOT NULL, status TEXT, last INTEGER, epoch INTEGER);"
    "CREATE UNIQUE INDEX runs_by_id ON runs (run_id);"
    "INSERT INTO runs VALUES (1, CAST('sixteen bytes id' AS BLOB), 'running', 1, 1)", NULL, NULL, NULL));
  begin = prepare("BEGIN IMMEDIATE");
  commit = prepare("COMMIT");
  head = prepare("SELECT number, last FROM runs WHERE run_id = ?");
  update = prepare("UPDATE runs SET status = 'running', last = ?, epoch = 1 WHERE number = 1");
  insert = prepare("INSERT INTO log (key, sequence, type, event) VALUES (?, 1, 'tool.completed', ?)");
  static char bytes[1 << 23], line[4096];
  memset(bytes, 'x', sizeof bytes);
  fcntl(0, F_SETPIPE_SZ, 1 << 20);
  while (fgets(line, sizeof line, stdin)) {
    int first, second, request, payload;
    if (sscanf(line, "%d %d %d %d", &first, &second, &request, &payload) != 4 || first < 0 || second < 0 || request < 0 || payload < 0) return 65;
    if (first >= 1 << 23 || second >= 1 << 23 || request >= 1 << 23 || payload >= 1 << 23) return 65;
    if (payload && fread(bytes, payload, 1, stdin) != 1) return 65;
    commit_bytes(first, rows, bytes);
    if (curl) curl_post(bytes, request);
    if (provider >= 0) {
      http_post(provider, "/call/", bytes, request);
      http_answer(provider, -1);
    }
    commit_bytes(second, rows, bytes);
    if (write(1, "done\n", 5) != 5) return 1;
  }
  return 0;
}
