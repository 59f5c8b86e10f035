/// What somebody is, as a token says it. Domains add roles of their own.
package struct Role: Sendable, Hashable, CustomStringConvertible {
    /// Its name in tokens.
    package let rawValue: String

    /// The role of this name.
    package init(_ rawValue: String) { self.rawValue = rawValue }

    /// Everything.
    package static let admin = Role("admin")
    /// Looks at everything, the traces included, and changes nothing.
    package static let auditor = Role("auditor")

    /// Its name.
    package var description: String { rawValue }
}

/// How far a permission goes.
package enum Reach: Int, Sendable, CaseIterable, Comparable {
    /// Nowhere.
    case none
    /// What the subject owns.
    case owned
    /// That, and what belongs to its projects.
    case shared
    /// Everything.
    case all

    /// A shorter reach comes first.
    package static func < (a: Reach, b: Reach) -> Bool { a.rawValue < b.rawValue }
}

/// What may be asked of a service, and how far that goes for whom. Domains declare theirs, one line each.
package struct Permission: Sendable, Hashable, CustomStringConvertible {
    /// Its name, as answers and documents have it.
    package let rawValue: String
    private let grants: [Role: Reach]

    /// A permission that goes so far for these roles, nowhere for others, and everywhere for `admin`.
    package init(_ rawValue: String, _ grants: [Role: Reach] = [:]) {
        self.rawValue = rawValue
        self.grants = grants
    }

    /// How far it goes for a role.
    package func reach(of role: Role) -> Reach { role == .admin ? .all : grants[role] ?? .none }

    /// Its name.
    package var description: String { rawValue }

    /// Whether they have the same name.
    package static func == (a: Permission, b: Permission) -> Bool { a.rawValue == b.rawValue }
    /// Hashes the name.
    package func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }

    /// A table as text: a line for each permission, a column for each role.
    package static func table(_ permissions: [Permission], _ roles: [Role]) -> String {
        let width = (permissions.map(\.rawValue.count).max() ?? 0) + 2
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        func line(_ name: String, _ cells: [String]) -> String {
            let cells = zip(roles, cells).map { padded($1, $0.rawValue.count + 2) }
            let text = padded(name, width) + cells.joined()
            return String(text.reversed().drop { $0 == " " }.reversed())
        }
        let rows = permissions.map { permission in
            line(permission.rawValue, roles.map { "\(permission.reach(of: $0))" })
        }
        return ([line("operation", roles.map(\.rawValue))] + rows).joined(separator: "\n")
    }
}
