internal import CMicrohttpd
internal import Glibc
internal import Supervision

/// A listening socket of our own, so that what is wrong with an address can be said.
struct Listener: ~Copyable {
    private var descriptor: CInt
    let port: UInt16

    init(address: String, port: UInt16) throws(SystemFailure) {
        let name = address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, String(port), &hints, &found) == 0, let info = found else {
            throw SystemFailure("understand the address", name, code: EINVAL)
        }
        defer { freeaddrinfo(info) }
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(info.pointee.ai_family, kind, 0)
        guard descriptor >= 0 else { throw SystemFailure("open a socket for", name) }
        var (on, off) = (CInt(1), CInt(0))
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if info.pointee.ai_family == AF_INET6 {
            setsockopt(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &off, size)
        }
        guard bind(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0,
            listen(descriptor, 4096) == 0
        else {
            let failure = SystemFailure("listen on", name)
            close(descriptor)
            throw failure
        }
        self.descriptor = descriptor
        self.port = Self.port(of: descriptor) ?? port
    }

    private static func port(of descriptor: CInt) -> UInt16? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &size) == 0 ? endpoint($0)?.port : nil
            }
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The descriptor, which stays the listener's.
    var number: CInt { descriptor }

    /// The descriptor, which is the caller's from now on.
    mutating func take() -> CInt {
        defer { descriptor = -1 }
        return descriptor
    }
}

/// Lets nobody connect any more, while libmicrohttpd goes on with its connections: another socket takes the
/// listener's place under its number, one on which nothing ever comes. With it goes the listener, out of
/// every epoll set, too.
///
/// `MHD_quiesce_daemon` is for that. It was seen to end the process once ("Failed to remove listen FD from
/// epoll set"), most likely where a worker that was awake had taken the listener out of its set itself.
func stopListening(on listener: CInt) {
    let kind = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    let silent = socket(AF_UNIX, kind, 0)
    // Without a descriptor to spare connections are accepted until the end.
    guard silent >= 0 else { return }
    dup2(silent, listener)
    _ = fcntl(listener, F_SETFD, FD_CLOEXEC)
    close(silent)
}

/// The numeric address and the port of a socket address.
func endpoint(_ address: UnsafePointer<sockaddr>) -> (address: String, port: UInt16)? {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    var port: UInt16 = 0
    switch CInt(address.pointee.sa_family) {
    case AF_INET:
        address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            var ip = $0.pointee.sin_addr
            inet_ntop(AF_INET, &ip, &text, socklen_t(text.count))
            port = UInt16(bigEndian: $0.pointee.sin_port)
        }
    case AF_INET6:
        address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
            var ip = $0.pointee.sin6_addr
            inet_ntop(AF_INET6, &ip, &text, socklen_t(text.count))
            port = UInt16(bigEndian: $0.pointee.sin6_port)
        }
    default: return nil
    }
    let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (name.hasPrefix("::ffff:") && name.contains(".") ? String(name.dropFirst(7)) : name, port)
}

/// Lets the process have as many files open as `connections` and everything else need, within the system's
/// hard limit. Answers how many connections fit.
package func raiseFileLimit(toHold connections: Int) -> Int {
    // For the log, the database, uploads and whatever else is open.
    let others = 512
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(kind, &limit) == 0 else { return connections }
    if limit.rlim_cur < rlim_t(connections + others) {
        limit.rlim_cur = min(limit.rlim_max, rlim_t(connections + others))
        setrlimit(kind, &limit)
        guard getrlimit(kind, &limit) == 0 else { return connections }
    }
    let files = Int(clamping: limit.rlim_cur)
    return min(connections, max(files - others, files / 2))
}

/// The functions that libmicrohttpd calls.
struct DaemonCallbacks {
    var context: UnsafeMutableRawPointer?
    var handler: MHD_AccessHandlerCallback
    var target:
        (
            @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, OpaquePointer?) ->
                UnsafeMutableRawPointer?
        )?
    var completed: MHD_RequestCompletedCallback?
    var connection: MHD_NotifyConnectionCallback?
    var suspends = true
}

/// Starts libmicrohttpd with the settings' limits.
func startDaemon(
    _ settings: ServerSettings, connections: Int, listener: consuming Listener, callbacks: DaemonCallbacks
) throws(SystemFailure) -> OpaquePointer {
    var daemon = reel_http_daemon()
    daemon.threads = UInt32(max(1, settings.threads))
    daemon.connections = UInt32(max(connections, settings.threads))
    daemon.per_address = UInt32(settings.connectionsPerAddress)
    daemon.connection_bytes = settings.connectionBytes
    daemon.quiet_seconds = UInt32(settings.quietSeconds)
    daemon.suspends = callbacks.suspends ? 1 : 0
    daemon.context = callbacks.context
    daemon.handler = callbacks.handler
    daemon.target = callbacks.target
    daemon.completed = callbacks.completed
    daemon.connection = callbacks.connection
    let port = listener.port
    daemon.listener = listener.take()
    func start() -> OpaquePointer? {
        guard let tls = settings.tls else { return reel_http_start(&daemon) }
        return tls.certificate.withCString { certificate in
            tls.key.withCString { key in
                // TLS 1.2 with forward secrecy and authenticated encryption, or 1.3.
                "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-256-CBC:-AES-128-CBC:%SERVER_PRECEDENCE"
                    .withCString { priorities in
                        daemon.certificate = certificate
                        daemon.key = key
                        daemon.priorities = priorities
                        return reel_http_start(&daemon)
                    }
            }
        }
    }
    guard let started = start() else {
        let code = settings.tls == nil ? errno : EINVAL
        let subject = settings.tls == nil ? "port \(port)" : "port \(port) with this certificate and key"
        close(daemon.listener)
        throw SystemFailure("start the HTTP server on", subject, code: code)
    }
    return started
}
