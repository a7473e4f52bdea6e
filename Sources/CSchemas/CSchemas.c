#include "CSchemas.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char openrpc[] = {
#embed "../../Schemas/openrpc.json"
};

const unsigned char *cschemas_openrpc_start(void) { return openrpc; }
unsigned long cschemas_openrpc_count(void) { return sizeof(openrpc); }
