/* libcurl, loaded when it is first needed and never linked: linked, it brings thirty libraries into the start of the program. Only its headers are
   used here. After `ccurl_load` has returned NULL, each function `ccurl_x` is libcurl's `curl_x`; before that none of them may be called. The
   variadic ones have one form for each kind of argument. The declarations of curl.h itself are visible too, but nothing defines them. */
#ifndef CCURL_H
#define CCURL_H

#include <curl/curl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads and initialises the library once, whoever calls first. NULL, or what is missing, in words; the text lives as long as the process. */
const char *ccurl_load(void);

/* One transfer */
typedef size_t (*ccurl_bytes_callback)(char *bytes, size_t size, size_t count, void *context);
typedef int (*ccurl_seek_callback)(void *context, curl_off_t offset, int origin);

CURL *ccurl_easy_init(void);
void ccurl_easy_cleanup(CURL *easy);
const char *ccurl_easy_strerror(CURLcode code);
CURLcode ccurl_easy_set_long(CURL *easy, CURLoption option, long value);
CURLcode ccurl_easy_set_offset(CURL *easy, CURLoption option, curl_off_t value);
/* The text is copied, but for CURLOPT_COPYPOSTFIELDS, which takes as many bytes as CURLOPT_POSTFIELDSIZE_LARGE said before. */
CURLcode ccurl_easy_set_bytes(CURL *easy, CURLoption option, const char *value);
CURLcode ccurl_easy_set_pointer(CURL *easy, CURLoption option, void *value);
CURLcode ccurl_easy_set_list(CURL *easy, CURLoption option, struct curl_slist *value);
CURLcode ccurl_easy_set_bytes_callback(CURL *easy, CURLoption option, ccurl_bytes_callback value);
CURLcode ccurl_easy_set_seek_callback(CURL *easy, ccurl_seek_callback value);
CURLcode ccurl_easy_get_long(CURL *easy, CURLINFO info, long *value);
CURLcode ccurl_easy_get_pointer(CURL *easy, CURLINFO info, void **value);

/* Allows http and https and nothing else, with whichever of two options the library knows. */
CURLcode ccurl_easy_allow_http_only(CURL *easy);

/* Keeps a transfer that ends while a name is being looked up from waiting for the lookup, where the library can (7.87). */
void ccurl_easy_leave_lookups(CURL *easy);

/* Leaves the library's folder of certificates out where its file of them can be read, so that it reads that once and not for each connection. */
void ccurl_easy_leave_certificate_folder(CURL *easy);

/* Many transfers */
typedef int (*ccurl_socket_callback)(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_context);
typedef int (*ccurl_timer_callback)(CURLM *multi, long milliseconds, void *context);

CURLM *ccurl_multi_init(void);
CURLMcode ccurl_multi_cleanup(CURLM *multi);
CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value);
CURLMcode ccurl_multi_set_callbacks(CURLM *multi, ccurl_socket_callback socket, ccurl_timer_callback timer, void *context);
CURLMcode ccurl_multi_add_handle(CURLM *multi, CURL *easy);
CURLMcode ccurl_multi_remove_handle(CURLM *multi, CURL *easy);
/* Moves what can be moved on one socket; `events` are CURL_CSELECT_ bits, 0 when libcurl is to look itself. */
CURLMcode ccurl_multi_move_socket(CURLM *multi, curl_socket_t socket, int events);
/* Does what is due now. */
CURLMcode ccurl_multi_move_due(CURLM *multi);
/* Moves what can be moved in all transfers. */
CURLMcode ccurl_multi_move_all(CURLM *multi);
/* A transfer that is over, each once, and how it ended; NULL when there is no other. */
CURL *ccurl_multi_next_done(CURLM *multi, CURLcode *code);

struct curl_slist *ccurl_slist_append(struct curl_slist *list, const char *text);
void ccurl_slist_free_all(struct curl_slist *list);

#ifdef __cplusplus
}
#endif

#endif
