#ifndef CSCHEMAS_H
#define CSCHEMAS_H

/// `Schemas/openrpc.json`, as it was when this was compiled; not NUL-terminated.
const unsigned char *cschemas_openrpc_start(void);
unsigned long cschemas_openrpc_count(void);

#endif
