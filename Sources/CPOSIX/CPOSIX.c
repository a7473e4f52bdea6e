#define _GNU_SOURCE
#include "CPOSIX.h"
