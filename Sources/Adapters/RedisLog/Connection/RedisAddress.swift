/// Where a Redis server is and how to log in there: `redis://[user:password@]host[:port][/database]`.
///
/// Its description names host, port and database and never a credential; errors use it.
package struct RedisAddress: Sendable, Hashable, CustomStringConvertible {
    /// Host name or address; an IPv6 address without its brackets.
    package var host: String
    /// TCP port.
    package var port: Int
    /// Number of the database, 0 unless given.
    package var database: Int
    let user: String
    let password: String

    /// What ports there are.
    static let ports = 1...65_535

    /// Reads a URL; user and password may be percent-encoded. Nil when it is none of ours.
    package init?(_ url: String) {
        let scheme = "redis://"
        guard url.hasPrefix(scheme) else { return nil }
        var rest = Substring(url.dropFirst(scheme.count))
        if let query = rest.firstIndex(where: { $0 == "?" || $0 == "#" }) { rest = rest[..<query] }
        var path: Substring = ""
        if let slash = rest.firstIndex(of: "/") {
            path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
        }
        var credentials: Substring?
        if let at = rest.lastIndex(of: "@") {
            credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
        }
        guard let database = path.isEmpty ? 0 : Int(path), (0...65535).contains(database),
            let (host, port) = Self.hostAndPort(rest)
        else { return nil }
        guard let (user, password) = Self.login(credentials) else { return nil }
        self.init(host: host, port: port, database: database, user: user, password: password)
    }

    init(host: String, port: Int, database: Int, user: String, password: String) {
        self.host = host
        self.port = port
        self.database = database
        self.user = user
        self.password = password
    }

    /// The same login elsewhere; an empty host means this one.
    func moved(toHost host: String, port: Int) -> RedisAddress {
        RedisAddress(
            host: host.isEmpty ? self.host : host, port: port, database: database, user: user,
            password: password)
    }

    /// The same server and another database.
    func selecting(_ database: Int) -> RedisAddress {
        var address = self
        address.database = database
        return address
    }

    /// User and password from `user:password`, percent-decoded; empty where there are none.
    static func login(_ credentials: Substring?) -> (String, String)? {
        guard let credentials else { return ("", "") }
        var user: String?
        var password: String? = ""
        if let colon = credentials.firstIndex(of: ":") {
            user = percentDecoded(credentials[..<colon])
            password = percentDecoded(credentials[credentials.index(after: colon)...])
        } else {
            user = percentDecoded(credentials)
        }
        guard let user, let password else { return nil }
        return (user, password)
    }

    static func hostAndPort(_ text: Substring, defaultPort: Int = 6379) -> (String, Int)? {
        var host = text
        var portText: Substring = ""
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            portText = text[text.index(after: close)...]
            if !portText.isEmpty, !portText.hasPrefix(":") { return nil }
            portText = portText.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            portText = text[text.index(after: colon)...]
        }
        guard let port = portText.isEmpty ? defaultPort : Int(portText), ports.contains(port) else {
            return nil
        }
        return host.isEmpty ? nil : (String(host), port)
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var out: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == 0x25 else {
                out.append(byte)
                continue
            }
            guard bytes.count >= 2,
                let value = UInt8(String(decoding: bytes.prefix(2), as: UTF8.self), radix: 16)
            else { return nil }
            out.append(value)
            bytes = bytes.dropFirst(2)
        }
        return String(validating: out, as: UTF8.self)
    }

    /// `host:port`, with `/database` when it is not 0.
    package var description: String {
        let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        return database == 0 ? place : "\(place)/\(database)"
    }
}
