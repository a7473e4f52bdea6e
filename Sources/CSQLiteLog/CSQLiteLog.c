#define _GNU_SOURCE
#include "CSQLiteLog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* SQLite writes a frame of its log in two pieces, the header and the page. On ext4 a commit of twenty pages spends 190 us in these forty writes, and
   30 in one of the same bytes. Shims: https://www.sqlite.org/vfs.html#vfs_shims

   What is gathered is no promise yet: in the mode in which this is used, SQLite syncs the log before it tells anybody of the commit, and everything
   that could see what is gathered writes it first. A write that fails shows in the call that came to it, as it would for want of room on the disk
   anyway; but SQLite was told long ago that these bytes are written, and may go on after a statement that failed. So they are kept, and tried again,
   until the transaction is taken back.

   What is gathered when a transaction is taken back must never be written: by then another process may have put a commit of its own there. */

/* The system's file takes less than 128 KiB at once (os_unix.c: seekAndWriteFd). */
enum { PIECE = 120 << 10, ROOM = 2 * PIECE };

/* The system's file follows it in memory. */
struct log_file {
  sqlite3_file base;
  int gathers;
  int count;
  sqlite3_int64 offset;
  unsigned char *bytes;
  /* -1: none. */
  int descriptor;
  void (*work)(void *);
  void *context;
};

static sqlite3_vfs *system_vfs, vfs;

static struct log_file *log_of(sqlite3_file *file) { return (struct log_file *)file; }
static sqlite3_file *system_file(sqlite3_file *file) { return (sqlite3_file *)(log_of(file) + 1); }
#define SYSTEM(call, file, ...) system_file(file)->pMethods->call(system_file(file), ##__VA_ARGS__)

/* SQLite knows want of room by ENOSPC alone; a file that may not grow further has none either. */
static int system_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
  int written = SYSTEM(xWrite, file, bytes, count, offset);
  return written == SQLITE_IOERR_WRITE && errno == EFBIG ? SQLITE_FULL : written;
}

static int write_gathered(sqlite3_file *file) {
  struct log_file *log = log_of(file);
  int count = log->count;
  if (!count) return SQLITE_OK;
  for (int start = 0; start < count; start += PIECE) {
    int piece = count - start < PIECE ? count - start : PIECE;
    int written = system_write(file, log->bytes + start, piece, log->offset + start);
    if (written != SQLITE_OK) return written;
  }
  log->count = 0;
  return SQLITE_OK;
}

static void forget_gathered(void *file) { log_of(file)->count = 0; }

/* What is committed has been synced. */
static int log_close(sqlite3_file *file) {
  free(log_of(file)->bytes);
  return SYSTEM(xClose, file);
}

/* Other bytes than those that are gathered can be read when there is no room for these: to take a transaction back needs them. */
static int log_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
  struct log_file *log = log_of(file);
  int concerns = offset < log->offset + log->count && log->offset < offset + count;
  int written = concerns ? write_gathered(file) : SQLITE_OK;
  return written == SQLITE_OK ? SYSTEM(xRead, file, bytes, count, offset) : written;
}

static int log_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
  struct log_file *log = log_of(file);
  if (log->count && (offset != log->offset + log->count || count > ROOM - log->count)) {
    int written = write_gathered(file);
    if (written != SQLITE_OK) return written;
  }
  if (!log->gathers || count > ROOM || (!log->bytes && !(log->bytes = malloc(ROOM)))) return system_write(file, bytes, count, offset);
  if (!log->count) log->offset = offset;
  memcpy(log->bytes + log->count, bytes, count);
  log->count += count;
  return SQLITE_OK;
}

/* What could see the gathered bytes, or rests on them, comes after them. */
#define AFTER_GATHERED(call, file, ...) \
  do { \
    int written = write_gathered(file); \
    return written == SQLITE_OK ? SYSTEM(call, file, __VA_ARGS__) : written; \
  } while (0)

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) { AFTER_GATHERED(xTruncate, file, size); }

/* That the disk has begun is no promise, and what fails on the way shows in the sync: https://man7.org/linux/man-pages/man2/sync_file_range.2.html */
static void use_wait(struct log_file *log, sqlite3_int64 offset, int count) {
  void (*work)(void *) = log->work;
  if (!work) return;
  log->work = NULL;
#ifdef __linux__
  if (log->descriptor >= 0 && count > 0) (void)sync_file_range(log->descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
#else
  (void)offset, (void)count;
#endif
  work(log->context);
}

static int log_sync(sqlite3_file *file, int flags) {
  struct log_file *log = log_of(file);
  int count = log->count;
  int written = write_gathered(file);
  if (written != SQLITE_OK) return written;
  use_wait(log, log->offset, count);
  return SYSTEM(xSync, file, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size) { AFTER_GATHERED(xFileSize, file, size); }
static int log_lock(sqlite3_file *file, int level) { return SYSTEM(xLock, file, level); }
static int log_unlock(sqlite3_file *file, int level) { return SYSTEM(xUnlock, file, level); }
static int log_check_lock(sqlite3_file *file, int *is_locked) { return SYSTEM(xCheckReservedLock, file, is_locked); }
static int log_control(sqlite3_file *file, int operation, void *argument) { return SYSTEM(xFileControl, file, operation, argument); }
static int log_sector(sqlite3_file *file) { return SYSTEM(xSectorSize, file); }
static int log_traits(sqlite3_file *file) { return SYSTEM(xDeviceCharacteristics, file); }

/* Version 1 has no shared memory and no mapping: these are the database file's. */
static const sqlite3_io_methods methods = {
  .iVersion = 1,
  .xClose = log_close,
  .xRead = log_read,
  .xWrite = log_write,
  .xTruncate = log_truncate,
  .xSync = log_sync,
  .xFileSize = log_size,
  .xLock = log_lock,
  .xUnlock = log_unlock,
  .xCheckReservedLock = log_check_lock,
  .xFileControl = log_control,
  .xSectorSize = log_sector,
  .xDeviceCharacteristics = log_traits,
};

/* Every other file is the system's own, with nothing in between. */
static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *taken) {
  (void)self;
  if (!(flags & SQLITE_OPEN_WAL)) return system_vfs->xOpen(system_vfs, name, file, flags, taken);
  memset(file, 0, sizeof(struct log_file) + sizeof(sqlite3_file));
  log_of(file)->descriptor = -1;
  int result = system_vfs->xOpen(system_vfs, name, system_file(file), flags, taken);
  if (system_file(file)->pMethods) file->pMethods = &methods;
  return result;
}

static void set_up(void) {
  if (sqlite3_initialize() != SQLITE_OK || !(system_vfs = sqlite3_vfs_find(NULL))) return;
  vfs = *system_vfs;
  vfs.pNext = NULL;
  vfs.zName = "footbridge";
  vfs.szOsFile = sizeof(struct log_file) + system_vfs->szOsFile;
  vfs.xOpen = open_file;
  if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) vfs.zName = NULL;
}

const char *csqlitelog_vfs(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, set_up);
  return vfs.zName;
}

/* NULL when the connection's log is not one of these. */
static sqlite3_file *log_file_of(void *database) {
  sqlite3_file *file = NULL;
  int found = sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
  return found == SQLITE_OK && file && file->pMethods == &methods ? file : NULL;
}

void csqlitelog_begin_early(void *database, int descriptor) {
  sqlite3_file *file = log_file_of(database);
  if (file) log_of(file)->descriptor = descriptor;
}

void csqlitelog_meanwhile(void *database, void (*work)(void *), void *context) {
  sqlite3_file *file = log_file_of(database);
  if (!file || !log_of(file)->gathers) return;
  log_of(file)->work = work;
  log_of(file)->context = context;
}

int csqlitelog_gather(void *database) {
  sqlite3_file *file = log_file_of(database), *main_file = NULL;
  if (!file) return 0;
  /* Without this trait of the file a commit is filled up to a whole sector, and the last piece of that is written after its sync (wal.c:
     padToSectorBoundary). It is there unless SQLite was built otherwise. */
  if (sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &main_file) != SQLITE_OK || !main_file || !main_file->pMethods) return 0;
  if (!(main_file->pMethods->xDeviceCharacteristics(main_file) & SQLITE_IOCAP_POWERSAFE_OVERWRITE)) return 0;
  sqlite3_rollback_hook(database, forget_gathered, file);
  log_of(file)->gathers = 1;
  return 1;
}
