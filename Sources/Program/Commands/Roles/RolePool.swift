import Engine
import Pipeline
import Supervision

/// One thread's work in a running system.
struct Role: Sendable {
    /// Runs until it is told to stop. Stays on the thread that it was built on.
    typealias Work = (StopSignal) throws -> Void

    let name: String
    /// Builds what it works with, and needs servers for; done again while they are away.
    let build: @Sendable () throws -> Work

    init(name: String, run: @escaping @Sendable (StopSignal) throws -> Void) {
        self.name = name
        build = { run }
    }

    init(name: String, build: @escaping @Sendable () throws -> Work) {
        self.name = name
        self.build = build
    }
}

/// A role that ended although nobody asked it to.
struct RoleEnded: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) ended although nobody asked it to" }
}

/// Roles that run beside each other, each on a thread of its own, and stop together: each needs up to a
/// second to notice, and one after the other that would add up.
struct RolePool: Service {
    let name: String
    let roles: [Role]
    let report: RoleLog

    func run(stop: StopSignal) throws {
        let ending = StopSignal()
        stop.whenSet { ending.set() }
        let threads = try roles.map { role in
            try OwnThread(name: role.name) {
                do {
                    let work = try waitingOut(startOf: role.name, stop: ending, report: report, role.build)
                    try work?(ending)
                    if !ending.isSet { throw RoleEnded(name: role.name) }
                } catch {
                    ending.set()
                    throw error
                }
            }
        }
        ending.wait()
        var failure: (any Error)?
        for thread in threads {
            do { try thread.join() } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }
}
