// GnuTLS, which libmicrohttpd speaks TLS with.
#pragma once
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/// Frees what GnuTLS has allocated; its own name is a variable, which Swift can't know to stay as it is.
static inline void reel_tls_free(void *memory) { gnutls_free(memory); }
