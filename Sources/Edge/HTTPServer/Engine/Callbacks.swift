internal import CMicrohttpd
internal import Glibc

extension DaemonCallbacks {
    /// The callbacks of a server, whose `ServerCore` is `context`.
    ///
    /// A connection's record is retained at the accept and released at the close; a request's exchange
    /// is retained when its first line is there and released when it is over.
    static func server(_ context: UnsafeMutableRawPointer) -> DaemonCallbacks {
        DaemonCallbacks(
            context: context,
            handler: { _, connection, _, method, version, data, size, context in
                guard let connection, let size, let context = context?.pointee else { return .NO }
                let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
                if case .fresh = exchange.stage {
                    guard let method, let version else { return .NO }
                    let count = reel_http_header_size(connection)
                    let isBegun = method.withMemoryRebound(to: UInt8.self, capacity: count) { start in
                        exchange.begin(
                            connection, UnsafeBufferPointer(start: start, count: count),
                            versionOffset: method.distance(to: version))
                    }
                    return isBegun ? .YES : .NO
                }
                let bytes = UnsafeRawBufferPointer(start: data, count: size.pointee)
                return exchange.proceed(connection, bytes, &size.pointee) ? .YES : .NO
            },
            target: { context, target, connection in
                guard let context, let target, let connection,
                    let place = reel_http_context(connection)
                else { return nil }
                let core = Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
                let record = Unmanaged<ConnectionRecord>.fromOpaque(place).takeUnretainedValue()
                let length = strlen(target)
                let (bytes, lines) = target.withMemoryRebound(to: UInt8.self, capacity: length) {
                    let bytes = Array(UnsafeBufferPointer(start: $0, count: length))
                    return (bytes, RawLines(behind: $0, count: length))
                }
                reel_http_hide_query(target)
                core.began()
                let exchange = Exchange(core: core, record: record, target: bytes, lines: lines)
                return Unmanaged.passRetained(exchange).toOpaque()
            },
            completed: { _, connection, context, code in
                guard let context = context?.pointee else { return }
                let exchange = Unmanaged<Exchange>.fromOpaque(context).takeRetainedValue()
                exchange.completed(
                    isComplete: code == .REQUEST_TERMINATED_COMPLETED_OK,
                    gaveUp: code == .REQUEST_TERMINATED_WITH_ERROR && reel_http_gave_up(connection) != 0)
            },
            connection: { context, connection, place, change in
                guard let context, let connection, let place else { return }
                let core = Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
                if change == .CONNECTION_NOTIFY_STARTED {
                    let (address, port) = reel_http_peer(connection).flatMap { endpoint($0) } ?? ("", 0)
                    let identity = core.identity
                    if let identity, let session = reel_http_tls_session(connection) {
                        identity.attach(to: session)
                    }
                    let record = ConnectionRecord(
                        connection, peer: Peer(address: address, port: port), identity: identity,
                        quietSeconds: core.settings.quietSeconds)
                    place.pointee = Unmanaged.passRetained(record).toOpaque()
                    core.book.add(record)
                    // Accepted while the server stops: it must not sleep.
                    if core.isStopping { record.stop() }
                } else if let pointer = place.pointee {
                    let record = Unmanaged<ConnectionRecord>.fromOpaque(pointer).takeRetainedValue()
                    place.pointee = nil
                    core.book.remove(record)
                }
            })
    }
}
