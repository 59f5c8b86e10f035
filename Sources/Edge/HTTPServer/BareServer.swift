internal import CMicrohttpd
internal import Glibc
package import Supervision

/// libmicrohttpd and nothing else: every request is answered with the same bytes, at once, on the thread
/// that read it. What `HTTPServer` reaches is measured against it.
package final class BareServer: @unchecked Sendable {
    // Sendable because `daemon` is used by init and deinit alone.
    private let daemon: OpaquePointer
    private let response: OpaquePointer

    /// The port it listens on.
    package let port: UInt16

    /// Listens with the settings' address, port, threads, limits and TLS, and answers `body` with these
    /// headers, as far as libmicrohttpd does not set them itself.
    package init(
        _ settings: ServerSettings, headers: [HeaderField] = [], body: [UInt8]
    ) throws(SystemFailure) {
        let connections = raiseFileLimit(toHold: settings.connections)
        let listener = try Listener(address: settings.address, port: settings.port)
        port = listener.port
        var body = body
        let made = body.withUnsafeMutableBytes {
            MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY)
        }
        guard let made else { throw SystemFailure("make an answer of", "\(body.count) bytes", code: ENOMEM) }
        for header in headers { MHD_add_response_header(made, header.name, header.value) }
        response = made
        let callbacks = DaemonCallbacks(
            context: UnsafeMutableRawPointer(made),
            handler: { response, connection, _, _, _, _, size, context in
                guard let response, let size, let context else { return .NO }
                // The first call has the header alone; an answer to it would end the connection.
                guard context.pointee != nil else {
                    context.pointee = response
                    return .YES
                }
                guard size.pointee == 0 else {
                    size.pointee = 0
                    return .YES
                }
                return MHD_queue_response(connection, 200, OpaquePointer(response))
            },
            suspends: false)
        do throws(SystemFailure) {
            daemon = try startDaemon(
                settings, connections: connections, listener: listener, callbacks: callbacks)
        } catch {
            MHD_destroy_response(made)
            throw error
        }
    }

    /// Stops at once.
    deinit {
        MHD_stop_daemon(daemon)
        MHD_destroy_response(response)
    }
}
