#ifndef CSQLITELOG_H
#define CSQLITELOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* The name of a VFS that does what the system's default one does, but can gather the writes of a write-ahead log; NULL: take the default one. */
const char *csqlitelog_vfs(void);

/* From now on what a connection opened with it (a sqlite3 *) writes to its log reaches the file in one write before the next sync, read or truncation,
   instead of two a page. Only for a connection that syncs the log before each commit is told (synchronous=FULL): the other processes read the file, and
   are told of a commit by shared memory. Answers whether the log gathers. */
int csqlitelog_gather(void *database);

#ifdef __cplusplus
}
#endif

#endif
