#include "CSchemas.h"

static const unsigned char openrpc[] = {
#embed "../../Schemas/openrpc.json"
};

const unsigned char *cschemas_openrpc_start(void) { return openrpc; }
unsigned long cschemas_openrpc_count(void) { return sizeof(openrpc); }
