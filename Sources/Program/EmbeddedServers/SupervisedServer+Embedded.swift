package import Supervision

extension SupervisedServer {
    /// An embedded redis-server in `folder`.
    /// - Parameter login: its one user; nil for a server that takes everybody.
    package static func redis(
        folder: String, port: UInt16? = nil, login: ServerLogin? = nil, policy: Policy = Policy(),
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) -> SupervisedServer {
        SupervisedServer(name: "redis-server", folder: folder, port: port, policy: policy, report: report) {
            EmbeddedRedis(folder: folder, port: $0, login: login)
        }
    }

    /// An embedded mongod in `folder`.
    /// - Parameter logins: its users; nil for a server that takes everybody.
    package static func mongo(
        folder: String, port: UInt16? = nil, logins: ServerCredentials.MongoLogins? = nil,
        policy: Policy = Policy(), report: @escaping @Sendable (String) -> Void = { _ in }
    ) -> SupervisedServer {
        SupervisedServer(name: "mongod", folder: folder, port: port, policy: policy, report: report) {
            EmbeddedMongo(folder: folder, port: $0, logins: logins, report: report)
        }
    }
}
