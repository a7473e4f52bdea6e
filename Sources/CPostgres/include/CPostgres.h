/* libpq, loaded when a store in PostgreSQL is first named and never linked: linked, it brings twenty libraries into the start of the program. Only its
   headers are used here. After `cpq_load` has returned NULL, each function `cpq_x` is libpq's `PQx`; before that none of them may be called. */
#ifndef CPOSTGRES_H
#define CPOSTGRES_H

#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the library once, whoever calls first. NULL, or what is missing, in words; the text lives as long as the process. */
const char *cpq_load(void);

/* What is used of libpq, all of it there since PostgreSQL 9.2: result, name, parameters, arguments. */
#define CPOSTGRES_FUNCTIONS(X) \
  X(PQconninfoOption *, conninfoParse, (const char *text, char **error), (text, error)) \
  X(void, conninfoFree, (PQconninfoOption *options), (options)) \
  X(PQconninfoOption *, conndefaults, (void), ()) \
  X(PGconn *, connectdbParams, (const char *const *names, const char *const *values, int expand), (names, values, expand)) \
  X(void, finish, (PGconn *connection), (connection)) \
  X(ConnStatusType, status, (const PGconn *connection), (connection)) \
  X(PGTransactionStatusType, transactionStatus, (const PGconn *connection), (connection)) \
  X(int, backendPID, (const PGconn *connection), (connection)) \
  X(int, socket, (const PGconn *connection), (connection)) \
  X(char *, errorMessage, (const PGconn *connection), (connection)) \
  X(char *, host, (const PGconn *connection), (connection)) \
  X(char *, port, (const PGconn *connection), (connection)) \
  X(char *, db, (const PGconn *connection), (connection)) \
  X(int, setnonblocking, (PGconn *connection, int on), (connection, on)) \
  X(int, sendQuery, (PGconn *connection, const char *text), (connection, text)) \
  X(int, sendPrepare, (PGconn *connection, const char *name, const char *text, int count, const Oid *types), \
    (connection, name, text, count, types)) \
  X(int, sendQueryParams, \
    (PGconn *connection, const char *text, int count, const Oid *types, const char *const *values, const int *lengths, const int *formats, int binary), \
    (connection, text, count, types, values, lengths, formats, binary)) \
  X(int, sendQueryPrepared, \
    (PGconn *connection, const char *name, int count, const char *const *values, const int *lengths, const int *formats, int binary), \
    (connection, name, count, values, lengths, formats, binary)) \
  X(int, flush, (PGconn *connection), (connection)) \
  X(int, consumeInput, (PGconn *connection), (connection)) \
  X(int, isBusy, (PGconn *connection), (connection)) \
  X(PGresult *, getResult, (PGconn *connection), (connection)) \
  X(PGnotify *, notifies, (PGconn *connection), (connection)) \
  X(void, freemem, (void *memory), (memory)) \
  X(PQnoticeReceiver, setNoticeReceiver, (PGconn *connection, PQnoticeReceiver receiver, void *context), (connection, receiver, context)) \
  X(ExecStatusType, resultStatus, (const PGresult *result), (result)) \
  X(char *, resultErrorField, (const PGresult *result, int field), (result, field)) \
  X(void, clear, (PGresult *result), (result)) \
  X(int, ntuples, (const PGresult *result), (result)) \
  X(int, getisnull, (const PGresult *result, int row, int column), (result, row, column)) \
  X(int, getlength, (const PGresult *result, int row, int column), (result, row, column)) \
  X(char *, getvalue, (const PGresult *result, int row, int column), (result, row, column))

#define CPOSTGRES_DECLARE(type, name, parameters, arguments) type cpq_##name parameters;
CPOSTGRES_FUNCTIONS(CPOSTGRES_DECLARE)
#undef CPOSTGRES_DECLARE

/* What a server says besides its answers goes nowhere. */
void cpq_ignore_notices(PGconn *connection);

#ifdef __cplusplus
}
#endif

#endif
