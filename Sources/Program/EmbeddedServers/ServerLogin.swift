internal import Base

/// A user of a server and its password. Never shows the password by itself.
package struct ServerLogin: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// The user's name.
    package let user: String
    /// The password: letters and digits alone, so that it stands in a URL as it is.
    package let password: String
    package init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    /// A login with a new password of 256 random bits.
    static func generate(user: String) -> ServerLogin {
        ServerLogin(user: user, password: randomText())
    }

    /// The user alone.
    package var description: String { "\(user):…" }
    /// Nothing to look into.
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// `user:password@`, as it stands in a URL.
    var urlPrefix: String { "\(user):\(password)@" }

    /// 256 bits from the system's generator in hexadecimal digits.
    static func randomText() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

/// Who may use the servers of a data folder.
package struct ServerCredentials: Sendable, Equatable {
    /// The one user of Redis.
    package let redis: ServerLogin
    /// The users of MongoDB.
    package let mongo: MongoLogins

    /// The users of MongoDB, each with no more rights than its purpose needs.
    package struct MongoLogins: Sendable, Equatable {
        /// For whoever administers the server; no process of Reel uses it.
        package let admin: ServerLogin
        /// Reel's own for the read models: database `reel`.
        package let readModels: ServerLogin
        /// Reel's own for keys and sealed passwords: database `reel_vault`.
        package let vault: ServerLogin
        /// For dashboards: reads database `reel`.
        package let dashboards: ServerLogin
    }

    /// New passwords for everybody.
    package static func generate() -> ServerCredentials {
        ServerCredentials(
            redis: .generate(user: "reel"),
            mongo: MongoLogins(
                admin: .generate(user: "reel_admin"), readModels: .generate(user: "reel"),
                vault: .generate(user: "reel_vault"), dashboards: .generate(user: "reel_read")))
    }
}

extension ServerCredentials {
    private static let format: Int64 = 1

    /// The text of the file that they are kept in.
    var json: String {
        func write(_ login: ServerLogin, _ json: inout JSONWriter) {
            json.object { json in
                json.member("user", login.user)
                json.member("password", login.password)
            }
        }
        var writer = JSONWriter()
        writer.object { json in
            json.member("format", Self.format)
            json.key("redis")
            write(redis, &json)
            for (name, login) in [
                ("mongodb_admin", mongo.admin), ("mongodb", mongo.readModels), ("mongodb_vault", mongo.vault),
                ("mongodb_read", mongo.dashboards),
            ] {
                json.key(dynamic: name)
                write(login, &json)
            }
        }
        return writer.text + "\n"
    }

    /// Reads what `json` writes; nil when a member is missing, or not what may stand in a URL.
    init?(json text: String) {
        guard let json = try? JSONValue(parsing: Array(text.utf8)),
            json["format"]?.integer == Self.format,
            let redis = Self.login("redis", json), let admin = Self.login("mongodb_admin", json),
            let readModels = Self.login("mongodb", json), let vault = Self.login("mongodb_vault", json),
            let dashboards = Self.login("mongodb_read", json)
        else { return nil }
        self.redis = redis
        mongo = MongoLogins(admin: admin, readModels: readModels, vault: vault, dashboards: dashboards)
    }

    private static func login(_ name: String, _ json: JSONValue) -> ServerLogin? {
        guard let user = json[name]?["user"]?.string, let password = json[name]?["password"]?.string,
            isPlain(user), isPlain(password)
        else { return nil }
        return ServerLogin(user: user, password: password)
    }

    private static func isPlain(_ text: String) -> Bool {
        (1...256).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: true
                default: false
                }
            }
    }
}
