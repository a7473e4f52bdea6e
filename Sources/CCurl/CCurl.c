/* The calls below go through the table of pointers and are checked by its prototypes; curl.h's macros would check the names instead. */
#define CURL_DISABLE_TYPECHECK
/* curl_multi_socket_all is called a thing of the past since 7.19.5, because it looks at all transfers. Here that is what it is for. */
#define CURL_DISABLE_DEPRECATION
#include "CCurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define FUNCTIONS(X) \
  X(global_init) \
  X(easy_init) \
  X(easy_cleanup) \
  X(easy_setopt) \
  X(easy_getinfo) \
  X(easy_strerror) \
  X(multi_init) \
  X(multi_cleanup) \
  X(multi_setopt) \
  X(multi_add_handle) \
  X(multi_remove_handle) \
  X(multi_socket_action) \
  X(multi_socket_all) \
  X(multi_info_read) \
  X(slist_append) \
  X(slist_free_all)

static struct {
#define POINTER(name) __typeof__(curl_##name) *name;
  FUNCTIONS(POINTER)
#undef POINTER
} curl;

/* Written by `load` alone, which pthread_once runs once and before any reader. */
static char trouble[512];

static void *open_library(void) {
#ifdef __APPLE__
  static const char *const names[] = {"libcurl.4.dylib", "/usr/lib/libcurl.4.dylib"};
#else
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
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
  /* Never closed again: other libraries have left threads and exit handlers in the process. */
#define FIND(name) \
  if (!(*(void **)&curl.name = dlsym(library, "curl_" #name))) { \
    snprintf(trouble, sizeof trouble, "it has no function curl_" #name ", so it is too old"); \
    return; \
  }
  FUNCTIONS(FIND)
#undef FIND
  CURLcode code = curl.global_init(CURL_GLOBAL_DEFAULT);
  if (code == CURLE_OK) trouble[0] = 0;
  else snprintf(trouble, sizeof trouble, "it does not start: %s", curl.easy_strerror(code));
}

const char *ccurl_load(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return trouble[0] ? trouble : NULL;
}

CURL *ccurl_easy_init(void) { return curl.easy_init(); }

void ccurl_easy_cleanup(CURL *easy) { curl.easy_cleanup(easy); }

const char *ccurl_easy_strerror(CURLcode code) { return curl.easy_strerror(code); }

CURLcode ccurl_easy_set_long(CURL *easy, CURLoption option, long value) { return curl.easy_setopt(easy, option, value); }

CURLcode ccurl_easy_set_offset(CURL *easy, CURLoption option, curl_off_t value) { return curl.easy_setopt(easy, option, value); }

CURLcode ccurl_easy_set_bytes(CURL *easy, CURLoption option, const char *value) { return curl.easy_setopt(easy, option, value); }

CURLcode ccurl_easy_set_pointer(CURL *easy, CURLoption option, void *value) { return curl.easy_setopt(easy, option, value); }

CURLcode ccurl_easy_set_list(CURL *easy, CURLoption option, struct curl_slist *value) { return curl.easy_setopt(easy, option, value); }

CURLcode ccurl_easy_set_bytes_callback(CURL *easy, CURLoption option, ccurl_bytes_callback value) {
  return curl.easy_setopt(easy, option, value);
}

CURLcode ccurl_easy_set_seek_callback(CURL *easy, ccurl_seek_callback value) {
  return curl.easy_setopt(easy, CURLOPT_SEEKFUNCTION, value);
}

CURLcode ccurl_easy_get_long(CURL *easy, CURLINFO info, long *value) { return curl.easy_getinfo(easy, info, value); }

CURLcode ccurl_easy_get_pointer(CURL *easy, CURLINFO info, void **value) { return curl.easy_getinfo(easy, info, value); }

/* Options by number, because the headers of the build may be older than the library of the day, or newer.
   https://curl.se/libcurl/c/CURLOPT_PROTOCOLS_STR.html (7.85), https://curl.se/libcurl/c/CURLOPT_PROTOCOLS.html,
   https://curl.se/libcurl/c/CURLOPT_QUICK_EXIT.html */
CURLcode ccurl_easy_allow_http_only(CURL *easy) {
  CURLcode code = curl.easy_setopt(easy, (CURLoption)(CURLOPTTYPE_OBJECTPOINT + 318), "http,https");
  if (code == CURLE_UNKNOWN_OPTION) code = curl.easy_setopt(easy, (CURLoption)(CURLOPTTYPE_LONG + 181), (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  return code;
}

void ccurl_easy_leave_lookups(CURL *easy) { curl.easy_setopt(easy, (CURLoption)(CURLOPTTYPE_LONG + 322), 1L); }

/* https://curl.se/libcurl/c/CURLINFO_CAINFO.html (7.84), https://curl.se/libcurl/c/CURLOPT_CA_CACHE_TIMEOUT.html (7.87) */
void ccurl_easy_leave_certificate_folder(CURL *easy) {
  const char *file = NULL;
  if (curl.easy_getinfo(easy, (CURLINFO)(CURLINFO_STRING + 61), &file) != CURLE_OK || !file || access(file, R_OK) != 0) return;
  curl.easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL);
}

CURLM *ccurl_multi_init(void) { return curl.multi_init(); }

CURLMcode ccurl_multi_cleanup(CURLM *multi) { return curl.multi_cleanup(multi); }

CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value) { return curl.multi_setopt(multi, option, value); }

CURLMcode ccurl_multi_add_handle(CURLM *multi, CURL *easy) { return curl.multi_add_handle(multi, easy); }

CURLMcode ccurl_multi_remove_handle(CURLM *multi, CURL *easy) { return curl.multi_remove_handle(multi, easy); }

CURLMcode ccurl_multi_set_callbacks(CURLM *multi, ccurl_socket_callback socket, ccurl_timer_callback timer, void *context) {
  CURLMcode code = curl.multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket);
  if (code == CURLM_OK) code = curl.multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
  if (code == CURLM_OK) code = curl.multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer);
  if (code == CURLM_OK) code = curl.multi_setopt(multi, CURLMOPT_TIMERDATA, context);
  return code;
}

CURLMcode ccurl_multi_move_socket(CURLM *multi, curl_socket_t socket, int events) {
  int running;
  return curl.multi_socket_action(multi, socket, events, &running);
}

CURLMcode ccurl_multi_move_due(CURLM *multi) {
  int running;
  return curl.multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

CURLMcode ccurl_multi_move_all(CURLM *multi) {
  int running;
  return curl.multi_socket_all(multi, &running);
}

CURL *ccurl_multi_next_done(CURLM *multi, CURLcode *code) {
  int left;
  CURLMsg *message;
  while ((message = curl.multi_info_read(multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    *code = message->data.result;
    return message->easy_handle;
  }
  return NULL;
}

struct curl_slist *ccurl_slist_append(struct curl_slist *list, const char *text) { return curl.slist_append(list, text); }

void ccurl_slist_free_all(struct curl_slist *list) { curl.slist_free_all(list); }
