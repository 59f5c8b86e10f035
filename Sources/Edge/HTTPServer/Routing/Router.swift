/// Finds the route of a request. A literal segment goes before a parameter.
package struct Router: Sendable {
    private final class Node: Sendable {
        let literals: [String: Node]
        let parameter: Node?
        let leaf: Leaf?

        init(_ entries: [(segments: ArraySlice<String>, leaf: Leaf)]) {
            leaf = entries.first { $0.segments.isEmpty }?.leaf
            var byName: [String: [(segments: ArraySlice<String>, leaf: Leaf)]] = [:]
            var parameters: [(segments: ArraySlice<String>, leaf: Leaf)] = []
            for entry in entries {
                guard let first = entry.segments.first else { continue }
                let rest = (entry.segments.dropFirst(), entry.leaf)
                if first == Router.anything {
                    parameters.append(rest)
                } else {
                    byName[first, default: []].append(rest)
                }
            }
            literals = byName.mapValues(Node.init)
            parameter = parameters.isEmpty ? nil : Node(parameters)
        }

        func find(_ segments: ArraySlice<String>) -> Leaf? {
            guard let first = segments.first else { return leaf }
            let rest = segments.dropFirst()
            if let found = literals[first]?.find(rest) { return found }
            return first.isEmpty ? nil : parameter?.find(rest)
        }
    }

    /// All methods of one path.
    struct Leaf: Sendable {
        struct Entry: Sendable {
            let index: Int
            let route: Route
            let parameters: [(name: String, position: Int)]
        }

        var entries: [Entry]
        var allow: String
    }

    fileprivate static let anything = "{}"

    private let root: Node
    /// All routes, in the order in which they were given.
    package let routes: [Route]

    /// Two routes with the same method and path are a mistake in the program, as is a template that
    /// isn't a path.
    package init(_ routes: [Route]) {
        self.routes = routes
        var leaves: [[String]: [Leaf.Entry]] = [:]
        for (index, route) in routes.enumerated() {
            precondition(route.template.hasPrefix("/"), "\(route.template) does not begin with a slash")
            var parameters: [(String, Int)] = []
            var shape: [String] = []
            let parts = route.template.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            for (position, part) in (route.template == "/" ? [] : parts).enumerated() {
                if part.hasPrefix("{"), part.hasSuffix("}") {
                    parameters.append((String(part.dropFirst().dropLast()), position))
                    shape.append(Self.anything)
                } else {
                    precondition(!part.isEmpty && !part.contains("{"), "bad segment in \(route.template)")
                    shape.append(String(part))
                }
            }
            let isNew = leaves[shape]?.contains { $0.route.method == route.method } != true
            precondition(isNew, "\(route.method.rawValue) \(route.template) stands twice")
            leaves[shape, default: []].append(Leaf.Entry(index: index, route: route, parameters: parameters))
        }
        root = Node(leaves.map { ($0.key[...], Leaf(entries: $0.value, allow: Self.allow($0.value))) })
    }

    private static func allow(_ entries: [Leaf.Entry]) -> String {
        var methods = HTTPMethod.allCases.filter { method in entries.contains { $0.route.method == method } }
            .map(\.rawValue)
        if methods.first == HTTPMethod.get.rawValue { methods.insert("HEAD", at: 1) }
        return (methods + ["OPTIONS"]).joined(separator: ", ")
    }

    /// Every method with its path's template, sorted; to be compared with a description of the API.
    package var table: [(method: HTTPMethod, template: String)] {
        routes.map { ($0.method, $0.template) }.sorted { ($0.1, $0.0.rawValue) < ($1.1, $1.0.rawValue) }
    }

    func find(_ segments: [String]) -> Leaf? { root.find(segments[...]) }
}
