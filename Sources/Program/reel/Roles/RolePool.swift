import Supervision

/// One thread's work in a running system.
struct Role: Sendable {
    var name: String
    var run: @Sendable (StopSignal) throws -> Void
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

    func run(stop: StopSignal) throws {
        let ending = StopSignal()
        stop.whenSet { ending.set() }
        let threads = try roles.map { role in
            try OwnThread(name: role.name) {
                do {
                    try role.run(ending)
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
