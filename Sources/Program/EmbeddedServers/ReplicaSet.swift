internal import Base
internal import Supervision

/// Makes a mongod a replica set of one and finds out whether it takes writes.
struct ReplicaSet {
    let name: String
    let port: UInt16

    private var host: String { "127.0.0.1:\(port)" }
    private static let notYetInitialized: UInt32 = 94
    private static let alreadyInitialized: UInt32 = 23

    /// One step towards a writable primary. A fresh server is initiated; one whose configuration names
    /// another port (its data was moved, or its old port is taken) is given the right one by force.
    func advance(_ server: borrowing MongoAdministration) throws(MongoRefusal) -> Readiness {
        let hello = try server.run { $0.member("hello", 1) }
        if hello["isWritablePrimary"]?.bool == true {
            // A primary of itself under another address would be unreachable for drivers.
            return hello["me"]?.string == host ? .ready : try reconfigure(server)
        }
        let config = try server.run(accepting: [Self.notYetInitialized]) {
            $0.member("replSetGetConfig", 1)
        }
        guard let members = config["config"]?["members"]?.array else {
            try server.run(accepting: [Self.alreadyInitialized]) { json in
                json.key("replSetInitiate")
                write(version: 1, into: &json)
            }
            return .notYet("replica set initiated")
        }
        if members.first?["host"]?.string != host { return try reconfigure(server) }
        return .notYet("waiting to be primary")
    }

    private func reconfigure(_ server: borrowing MongoAdministration) throws(MongoRefusal) -> Readiness {
        let config = try server.run { $0.member("replSetGetConfig", 1) }
        let version = config["config"]?["version"]?.integer ?? 1
        try server.run { json in
            json.key("replSetReconfig")
            write(version: version &+ 1, into: &json)
            json.member("force", true)
        }
        return .notYet("replica set moved to \(host)")
    }

    private func write(version: Int64, into json: inout JSONWriter) {
        json.object { json in
            json.member("_id", name)
            json.member("version", version)
            json.key("members")
            json.array { members in
                members.object { json in
                    json.member("_id", 0)
                    json.member("host", host)
                }
            }
        }
    }
}
