#include <sqlite3.h>

/* sqlite3_db_config and sqlite3_config are variadic, which Swift cannot call; SQLITE_TRANSIENT is a cast, which Swift cannot import. */

/* Closing the last connection checkpoints, unless this was called. */
static inline int csqlite_skip_checkpoint_on_close(sqlite3 *database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

static inline int csqlite_bind_copied_blob(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  return sqlite3_bind_blob(statement, index, bytes, count, SQLITE_TRANSIENT);
}

static inline int csqlite_bind_copied_text(sqlite3_stmt *statement, int index, const char *bytes, int count) {
  return sqlite3_bind_text(statement, index, bytes, count, SQLITE_TRANSIENT);
}

/* SQLite would lay out its first twenty pages at once, which touches them all. To be called before anything else of it; too late, it changes nothing. */
static inline int csqlite_take_pages_one_by_one(void) {
  return sqlite3_config(SQLITE_CONFIG_PAGECACHE, (void *)0, 0, 0);
}
