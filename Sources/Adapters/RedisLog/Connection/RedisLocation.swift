package import EventSourcing

/// Where a log is: one server, a master that Sentinel watches, or a cluster.
///
/// Descriptions name hosts, ports, master and database, and never a credential; errors use them.
package enum RedisLocation: Sendable, Hashable, CustomStringConvertible {
    /// `redis://[user:password@]host[:port][/database]`.
    case single(RedisAddress)
    /// `redis+sentinel://[user:password@]host[:port],…/master[/database]`. The credentials are the
    /// master's; a sentinel that wants some is given the same. Each address is a sentinel's, with the
    /// master's database.
    case sentinel([RedisAddress], master: String)
    /// `redis+cluster://[user:password@]host[:port],…`: some of the nodes, from which the others are
    /// found. The credentials are those of every node.
    case cluster([RedisAddress])

    /// Schemes of the URLs that name a log.
    package static let schemes = ["redis", "redis+sentinel", "redis+cluster"]

    /// Reads a URL; user and password may be percent-encoded.
    /// - Throws: `invalid`, saying what is wrong with it; the text shows no part of the credentials.
    package init(url: String) throws(LogFailure) {
        guard let colon = url.firstRange(of: "://") else { throw Self.refused("it has no scheme") }
        let rest = String(url[colon.upperBound...])
        switch url[..<colon.lowerBound] {
        case "redis":
            guard let address = RedisAddress(url) else {
                throw Self.refused("expected redis://[user:password@]host[:port][/database]")
            }
            self = .single(address)
        case "redis+sentinel":
            let form = "expected redis+sentinel://[user:password@]host:port,…/master[/database]"
            let (nodes, path) = try Self.nodes(rest, defaultPort: 26379, form)
            guard let name = path.first, !name.isEmpty, path.count <= 2 else {
                throw Self.refused("the master's name is missing; \(form)")
            }
            guard let database = path.count == 2 ? Int(path[1]) : 0, (0...65535).contains(database) else {
                throw Self.refused("the database is no number from 0 to 65535; \(form)")
            }
            self = .sentinel(nodes.map { $0.selecting(database) }, master: name)
        case "redis+cluster":
            let form = "expected redis+cluster://[user:password@]host:port,…"
            let (nodes, path) = try Self.nodes(rest, defaultPort: 6379, form)
            guard path.allSatisfy(\.isEmpty) else {
                throw Self.refused("a cluster has no databases; \(form)")
            }
            self = .cluster(nodes)
        default:
            throw Self.refused("its scheme is none of \(Self.schemes.joined(separator: ", "))")
        }
    }

    private static func refused(_ text: String) -> LogFailure {
        LogFailure(.invalid, operation: "open", key: "the Redis URL", text: text)
    }

    private static func nodes(
        _ text: String, defaultPort: Int, _ form: String
    ) throws(LogFailure) -> ([RedisAddress], [String]) {
        var rest = Substring(text)
        if let query = rest.firstIndex(where: { $0 == "?" || $0 == "#" }) { rest = rest[..<query] }
        // Everything up to the last @ belongs to the credentials: it must not show up in an error.
        var credentials: Substring?
        if let at = rest.lastIndex(of: "@") {
            credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
        }
        let path = rest.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let (user, password) = RedisAddress.login(credentials) else {
            throw refused("user or password is not percent-encoded text; \(form)")
        }
        var nodes: [RedisAddress] = []
        for place in path[0].split(separator: ",", omittingEmptySubsequences: false) {
            guard let (host, port) = RedisAddress.hostAndPort(place, defaultPort: defaultPort) else {
                throw refused("\"\(place)\" is no host:port; \(form)")
            }
            let node = RedisAddress(host: host, port: port, database: 0, user: user, password: password)
            if !nodes.contains(node) { nodes.append(node) }
        }
        return (nodes, Array(path.dropFirst()))
    }

    /// The server, or the first of the sentinels or nodes that the URL names.
    package var first: RedisAddress {
        switch self {
        case .single(let address): address
        case .sentinel(let nodes, _), .cluster(let nodes): nodes[0]
        }
    }

    /// `host:port`, `master NAME of sentinels host:port,…` or `cluster host:port,…`.
    package var description: String {
        switch self {
        case .single(let address): return "\(address)"
        case .sentinel(let nodes, let master):
            let database = nodes[0].database == 0 ? "" : "/\(nodes[0].database)"
            return "master \(master)\(database) of sentinels "
                + nodes.map { "\($0.selecting(0))" }.joined(separator: ",")
        case .cluster(let nodes): return "cluster " + nodes.map { "\($0)" }.joined(separator: ",")
        }
    }
}
