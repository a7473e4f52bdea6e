#include "CPostgres.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static struct {
#define POINTER(type, name, parameters, arguments) __typeof__(PQ##name) *name;
  CPOSTGRES_FUNCTIONS(POINTER)
#undef POINTER
} pq;

/* Written by `load` alone, which pthread_once runs once and before any reader. */
static char trouble[512];

static void *open_library(void) {
#ifdef __APPLE__
  static const char *const names[] = {"libpq.5.dylib", "/opt/homebrew/opt/libpq/lib/libpq.5.dylib", "/usr/local/opt/libpq/lib/libpq.5.dylib"};
#else
  static const char *const names[] = {"libpq.so.5"};
#endif
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    if (library) return library;
    /* Of the first: it is the one to install. */
    if (i == 0) snprintf(trouble, sizeof trouble, "%s", dlerror());
  }
  return NULL;
}

static void load(void) {
  void *library = open_library();
  if (!library) return;
  trouble[0] = 0;
  /* Never closed again: other libraries have left exit handlers in the process. */
#define FIND(type, name, parameters, arguments) \
  if (!(*(void **)&pq.name = dlsym(library, "PQ" #name))) { \
    snprintf(trouble, sizeof trouble, "it has no function PQ" #name ", so it is too old"); \
    return; \
  }
  CPOSTGRES_FUNCTIONS(FIND)
#undef FIND
}

const char *cpq_load(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return trouble[0] ? trouble : NULL;
}

#define CALL(type, name, parameters, arguments) \
  type cpq_##name parameters { return pq.name arguments; }
CPOSTGRES_FUNCTIONS(CALL)
#undef CALL

static void ignore(void *context, const PGresult *result) {
  (void)context;
  (void)result;
}

void cpq_ignore_notices(PGconn *connection) { pq.setNoticeReceiver(connection, ignore, NULL); }
