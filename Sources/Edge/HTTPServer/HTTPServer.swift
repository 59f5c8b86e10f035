internal import CMicrohttpd
internal import Glibc
package import Supervision

/// An HTTP/1.1 server: libmicrohttpd reads and writes, handlers run on threads of their own.
///
/// It runs from its creation until `stop`; dropping it stops it at once.
package final class HTTPServer: @unchecked Sendable {
    // Sendable because `daemon` is only used by `stop`, which `stopOnce` lets through once.
    private let core: ServerCore
    private let context: Unmanaged<ServerCore>
    private let daemon: OpaquePointer
    /// The listener's descriptor; libmicrohttpd closes it.
    private let listening: CInt
    private let watch: OwnThread<Void>
    private let watchStop = StopSignal()
    private let stopOnce = StopSignal()

    /// The port it listens on.
    package let port: UInt16
    /// How many connections fit, when that is fewer than the settings say, because the system lets the
    /// process have so few open files; nil when all is well.
    package let reducedConnections: Int?

    /// Starts to listen. Throws when the address can't be had, the certificate doesn't fit its key, or
    /// the system has no threads left.
    package init(_ settings: ServerSettings, _ router: Router) throws(SystemFailure) {
        let fitting = raiseFileLimit(toHold: settings.connections)
        reducedConnections = fitting < settings.connections ? fitting : nil
        let listener = try Listener(address: settings.address, port: settings.port)
        port = listener.port
        listening = listener.number
        let handlers = try WorkPool(
            name: "http-handler", threads: settings.handlerThreads, eager: settings.threads,
            queueLimit: settings.queuedRequests)
        let transfers = try WorkPool(
            name: "http-transfer", threads: settings.transferThreads, eager: settings.threads,
            queueLimit: settings.queuedRequests)
        core = ServerCore(settings, router, handlers: handlers, transfers: transfers)
        context = Unmanaged.passRetained(core)
        do throws(SystemFailure) {
            daemon = try startDaemon(
                settings, connections: fitting, listener: listener, callbacks: .server(context.toOpaque()))
        } catch {
            handlers.close()
            transfers.close()
            context.release()
            throw error
        }
        let (core, signal) = (core, watchStop)
        do throws(SystemFailure) {
            watch = try OwnThread(name: "http-watch") { ConnectionWatch(core).run(until: signal) }
        } catch {
            MHD_stop_daemon(daemon)
            handlers.close()
            transfers.close()
            context.release()
            throw error
        }
    }

    deinit { stop(withinMilliseconds: 0) }

    /// Open connections.
    package var connectionCount: Int { core.book.count }

    /// Followers of server-sent events.
    package var followerCount: Int { core.streams.count }

    /// Shows another certificate to those who connect from now on; open connections keep theirs. Without
    /// effect on a server that speaks no TLS.
    package func show(_ identity: TLSIdentity) {
        if core.settings.tls != nil { core.identity = identity }
    }

    /// Stops: nothing is accepted any more, event streams end, running requests are finished, for at
    /// most the settings' limit; what still runs then is answered with 503 or broken off. Blocks until
    /// all of that has happened; call on a thread of your own. Further calls do nothing.
    package func stop() { stop(withinMilliseconds: core.settings.stopMilliseconds) }

    private func stop(withinMilliseconds limit: Int64) {
        guard !stopOnce.isSet else { return }
        stopOnce.set()
        let end = monotonicMilliseconds() + limit
        core.beginStopping()
        stopListening(on: listening)
        let pause = StopSignal()
        while core.runningCount > 0, monotonicMilliseconds() < end {
            for stream in core.streams { stream.finish() }
            pause.wait(milliseconds: 10)
        }
        watchStop.set()
        _ = try? watch.join()
        // Connections may still be accepted by a thread that was about to when the listener went.
        var records = core.book.all
        repeat {
            for record in records { record.stop() }
            records = core.book.all.filter(\.isSleeping)
        } while !records.isEmpty
        core.handlers.close()
        MHD_stop_daemon(daemon)
        core.transfers.close()
        // A handler that never ends keeps its thread, and what it holds, but nothing waits for it.
        _ = core.handlers.wait(milliseconds: 1000) && core.transfers.wait(milliseconds: 1000)
        context.release()
    }
}

/// Looks at all connections twice a second: too slow ones are broken off, quiet followers get a comment.
private struct ConnectionWatch {
    let core: ServerCore

    init(_ core: ServerCore) { self.core = core }

    func run(until stop: StopSignal) {
        while !stop.wait(milliseconds: 500) {
            let now = monotonicMilliseconds()
            for record in core.book.all where isTooSlow(record, now) { record.breakOff() }
            for stream in core.streams {
                stream.beat(now: now, everyMilliseconds: core.settings.heartbeatMilliseconds)
            }
        }
    }

    private func isTooSlow(_ record: ConnectionRecord, _ now: Int64) -> Bool {
        let settings = core.settings
        let (phase, age, received) = record.look(now: now)
        switch phase {
        case .waiting: return age > settings.idleMilliseconds
        case .header: return age > settings.headerMilliseconds
        case .body:
            if record.mayRest {
                // Its time begins when it may rest no more.
                record.startAgain(now)
                return false
            }
            let allowance = settings.bodyMilliseconds
            return age > allowance + Int64(received / max(1, settings.bodyBytesPerSecond)) * 1000
        case .handling, .answer: return false
        }
    }
}
