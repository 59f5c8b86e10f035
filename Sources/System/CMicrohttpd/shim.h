// libmicrohttpd, and its variadic start as a call that Swift can make.
#pragma once
#include <microhttpd.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/// What a daemon is started with. Pointers are the caller's; certificate and key are read during the call.
typedef struct {
    unsigned int threads;
    unsigned int connections;         // all threads together
    unsigned int per_address;         // 0 for no limit
    size_t connection_bytes;          // memory of one connection, request header included
    unsigned int quiet_seconds;       // a connection without any traffic is closed then
    int listener;                     // a listening socket, the daemon's from now on
    const char *certificate;          // PEM; NULL for plain HTTP
    const char *key;                  // PEM
    const char *priorities;           // GnuTLS priority string
    int suspends;                     // whether requests are ever suspended
    void *context;                    // handed to every callback
    MHD_AccessHandlerCallback handler;
    void *(*target)(void *context, const char *target, struct MHD_Connection *connection);
    MHD_RequestCompletedCallback completed;
    MHD_NotifyConnectionCallback connection;
} reel_http_daemon;

// The target is taken apart by the server itself: decoding it here would turn %2F into a slash.
static inline size_t reel_http_keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    size_t length = 0;
    while (text[length] != 0) length++;
    return length;
}

/// Starts a daemon, or answers NULL.
static inline struct MHD_Daemon *reel_http_start(const reel_http_daemon *d) {
    struct MHD_OptionItem options[20];
    int n = 0;
#define REEL_OPTION(name, number, pointer) \
    options[n++] = (struct MHD_OptionItem){name, (intptr_t)(number), (void *)(pointer)}
    REEL_OPTION(MHD_OPTION_CONNECTION_LIMIT, d->connections, NULL);
    REEL_OPTION(MHD_OPTION_CONNECTION_MEMORY_LIMIT, d->connection_bytes, NULL);
    REEL_OPTION(MHD_OPTION_CONNECTION_TIMEOUT, d->quiet_seconds, NULL);
    REEL_OPTION(MHD_OPTION_LISTEN_SOCKET, d->listener, NULL);
    // Not strict: 0.9.75 sends the header of its answer twice when it misses Host, and checks little else
    // that the server doesn't check itself.
    REEL_OPTION(MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL);
    REEL_OPTION(MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)&reel_http_keep_escapes, NULL);
    if (d->threads > 1) REEL_OPTION(MHD_OPTION_THREAD_POOL_SIZE, d->threads, NULL);
    if (d->per_address > 0) REEL_OPTION(MHD_OPTION_PER_IP_CONNECTION_LIMIT, d->per_address, NULL);
    if (d->target) REEL_OPTION(MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)d->target, d->context);
    if (d->completed) REEL_OPTION(MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)d->completed, d->context);
    if (d->connection) REEL_OPTION(MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)d->connection, d->context);
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC;
    if (d->suspends) flags |= MHD_ALLOW_SUSPEND_RESUME;
    if (d->certificate) {
        flags |= MHD_USE_TLS;
        REEL_OPTION(MHD_OPTION_HTTPS_MEM_CERT, 0, d->certificate);
        REEL_OPTION(MHD_OPTION_HTTPS_MEM_KEY, 0, d->key);
        REEL_OPTION(MHD_OPTION_HTTPS_PRIORITIES, 0, d->priorities);
    }
    REEL_OPTION(MHD_OPTION_END, 0, NULL);
#undef REEL_OPTION
    return MHD_start_daemon(flags, 0, NULL, NULL, d->handler, d->context, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

/// The peer's address of a connection, or NULL.
static inline const struct sockaddr *reel_http_peer(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

/// The socket of a connection, or -1.
static inline int reel_http_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/// What the notification about connections left at the connection, or NULL.
static inline void *reel_http_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/// Bytes of a request's header, from its method to the end of the empty line; 0 before there is one.
static inline size_t reel_http_header_size(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

/// Hides a target's query from libmicrohttpd, which takes it apart next: 64 bytes of the connection's memory
/// for each argument, and when there are none left (some 500 `&`) 0.9.75 overwrites its own refusal, and
/// the client waits for ever. To be called from the `target` callback; the text is the connection's own buffer,
/// into which libmicrohttpd writes itself.
static inline void reel_http_hide_query(const char *target) {
    char *query = strchr(target, '?');
    if (query && query[1]) query[1] = 0;
}

/// Whether libmicrohttpd has refused a whole header because of its cookies: then 0.9.75 makes its answer
/// twice, and closes the connection without any when there is no memory for the second one.
static inline int reel_http_gave_up(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *status =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return status && status->http_status == MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE &&
           reel_http_header_size(connection) > 0;
}

/// How many header fields and cookies libmicrohttpd keeps of a request.
static inline int reel_http_kept_fields(struct MHD_Connection *connection) {
    return MHD_get_connection_values(connection, (enum MHD_ValueKind)(MHD_HEADER_KIND | MHD_COOKIE_KIND),
                                     NULL, NULL);
}

/// How many fields came behind a chunked body.
static inline int reel_http_trailers(struct MHD_Connection *connection) {
    return MHD_get_connection_values(connection, MHD_FOOTER_KIND, NULL, NULL);
}

/// GnuTLS' number of the protocol's version (4 is TLS 1.2, 5 is 1.3), or 0 without TLS.
static inline int reel_http_tls_version(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_PROTOCOL);
    return info ? info->protocol : 0;
}

/// The TLS session of a connection, GnuTLS' own; NULL without TLS.
static inline void *reel_http_tls_session(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

/// A connection without any traffic is closed after so many seconds; 0: never. On its own thread.
static inline void reel_http_set_quiet(struct MHD_Connection *connection, unsigned int seconds) {
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/// Has a body end with the connection, never with a last chunk.
static inline void reel_http_end_by_closing(struct MHD_Response *response) {
    MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}
