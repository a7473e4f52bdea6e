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

/* For a log that gathers: a descriptor of the log's file, the caller's to keep open, and no longer than the connection. With it the disk begins with what
   a commit wrote before the commit waits for it. */
void csqlitelog_begin_early(void *database, int descriptor);

/* For a log that gathers: when the next sync has begun to write and would wait, `work` is called first, once; NULL: not any more. It must not use the
   connection. What the disk does meanwhile takes no time then: a commit of 16 KB and 30 us of work take 125 us together, and 163 one after the other. */
void csqlitelog_meanwhile(void *database, void (*work)(void *), void *context);

#ifdef __cplusplus
}
#endif

#endif
