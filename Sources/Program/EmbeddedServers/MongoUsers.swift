internal import Base

/// The users of an embedded mongod: made where they are missing, given their passwords where they have
/// others, in any number of tries.
struct MongoUsers {
    private struct User {
        let login: ServerLogin
        /// Roles that MongoDB brings along, each with its database.
        let roles: [(role: String, database: String)]
    }

    private let users: [User]
    private let port: UInt16
    private let report: @Sendable (String) -> Void

    init(
        _ logins: ServerCredentials.MongoLogins, port: UInt16, report: @escaping @Sendable (String) -> Void
    ) {
        self.port = port
        self.report = report
        users = [
            User(login: logins.admin, roles: [("root", "admin")]),
            // Reel itself needs `readWrite`; the owner of the data folder may also drop the database, and
            // give collections rules of their own.
            User(login: logins.readModels, roles: [("readWrite", "reel"), ("dbAdmin", "reel")]),
            User(login: logins.vault, roles: [("readWrite", "reel_vault")]),
            User(login: logins.dashboards, roles: [("read", "reel")]),
        ]
    }

    /// Makes sure that each is there with its password and at least its roles.
    func makeSure(_ server: borrowing MongoAdministration) throws(MongoRefusal) {
        for user in users { try makeSure(user, server) }
    }

    private func makeSure(
        _ user: User, _ server: borrowing MongoAdministration
    ) throws(MongoRefusal) {
        let name = user.login.user
        let answer = try server.run { json in
            json.member("usersInfo") { json in
                json.member("user", name)
                json.member("db", "admin")
            }
        }
        guard let found = answer["users"]?.array?.first else {
            try server.run { json in
                json.member("createUser", name)
                write(user, into: &json)
            }
            return
        }
        let roles = found["roles"]?.array ?? []
        let hasRoles = user.roles.allSatisfy { wanted in
            roles.contains { $0["role"]?.string == wanted.role && $0["db"]?.string == wanted.database }
        }
        if try !takesLogin(user.login) {
            try server.run { json in
                json.member("updateUser", name)
                write(user, into: &json)
            }
            report("mongod had another password for \(name) than credentials.json; it was set again")
        } else if !hasRoles {
            try server.run { json in
                json.member("grantRolesToUser", name)
                write(roles: user, into: &json)
            }
            report("mongod did not let \(name) do all it needs; it got its roles back")
        }
    }

    private func takesLogin(_ login: ServerLogin) throws(MongoRefusal) -> Bool {
        do throws(MongoRefusal) {
            try MongoAdministration(port: port, as: login).run { $0.member("ping", 1) }
            return true
        } catch {
            if error.isLoginRefused { return false }
            throw error
        }
    }

    private func write(_ user: User, into json: inout JSONWriter) {
        json.member("pwd", user.login.password)
        json.member("mechanisms", ["SCRAM-SHA-256"])
        write(roles: user, into: &json)
    }

    private func write(roles user: User, into json: inout JSONWriter) {
        json.key("roles")
        json.array { list in
            for role in user.roles {
                list.object { json in
                    json.member("role", role.role)
                    json.member("db", role.database)
                }
            }
        }
        json.member("writeConcern") { json in
            json.member("w", "majority")
            json.member("j", true)
        }
    }
}
