// 8-bit code units: UTF-8. Swift calls the functions by their names with `_8`, since it does not see the macros that hide the suffix.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
