#pragma once
#include <mongoc/mongoc.h>
#include <stddef.h>

/// Sets the library up, once for the process, and silent: everything worth knowing comes back as an error, and
/// its own lines could carry addresses. (What it says while it is loaded comes before that.) It is never torn
/// down: other pools may still use it.
static inline void reel_mongoc_begin(void) {
    mongoc_log_set_handler(NULL, NULL);
    mongoc_init();
}
