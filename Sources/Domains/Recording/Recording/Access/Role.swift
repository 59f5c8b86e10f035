/// What somebody is, as a token says it.
package enum Role: String, Sendable, CaseIterable {
    /// Everything.
    case admin
    /// Every session.
    case sessionManager = "session_manager"
    /// Sessions of its own: makes them, records, looks after them.
    case sessionOperator = "session_operator"
    /// Looks at what it owns and at what is shared with its projects.
    case sessionViewer = "session_viewer"
    /// Looks at everything, the traces included, and changes nothing.
    case auditor
}

/// What may be asked of the services.
package enum Operation: String, Sendable, CaseIterable {
    case createSession = "create_session"
    /// Also as an item of a list.
    case readSession = "read_session"
    case updateSession = "update_session"
    /// Start, pause, resume and stop.
    case controlSession = "control_session"
    case deleteSession = "delete_session"
    /// Set and lift legal holds.
    case holdSession = "hold_session"
    /// Which cases hold a session, and why.
    case readHolds = "read_holds"
    case uploadChunk = "upload_chunk"
    /// What is known of chunks, not what they hold.
    case readChunks = "read_chunks"
    /// Recorded bytes: downloads of the original, and the media.
    case readContent = "read_content"
    /// Sealed files, useless without the key.
    case readSealed = "read_sealed"
    case readProof = "read_proof"
    case readPipeline = "read_pipeline"
    case controlPipeline = "control_pipeline"
    case readStatistics = "read_statistics"
    case readSystemStatistics = "read_system_statistics"
    /// The events of one session.
    case readEvents = "read_events"
    /// The events of all sessions.
    case readAllEvents = "read_all_events"
    case exportKey = "export_key"
    /// Who did what.
    case readAudit = "read_audit"
    case readConfiguration = "read_configuration"
    case changeConfiguration = "change_configuration"
}

/// How far a permission goes.
package enum Reach: Int, Sendable, CaseIterable, Comparable {
    /// Nowhere.
    case none
    /// Sessions that the subject owns.
    case owned
    /// Those, and sessions of projects that it belongs to.
    case shared
    /// Everything.
    case all

    /// A shorter reach comes first.
    package static func < (a: Reach, b: Reach) -> Bool { a.rawValue < b.rawValue }
}

/// Who may do what: the one table of permissions.
package enum Permissions {
    /// How far `operation` goes for a role.
    package static func reach(of role: Role, _ operation: Operation) -> Reach {
        let row = row(operation)
        return switch role {
        case .admin: .all
        case .sessionManager: row.manager
        case .sessionOperator: row.operator
        case .sessionViewer: row.viewer
        case .auditor: row.auditor
        }
    }

    private typealias Row = (manager: Reach, operator: Reach, viewer: Reach, auditor: Reach)

    private static func row(_ operation: Operation) -> Row {
        switch operation {
        //                           manager  operator viewer   auditor
        case .createSession: (.all, .owned, .none, .none)
        case .readSession: (.all, .shared, .shared, .all)
        case .updateSession: (.all, .owned, .none, .none)
        case .controlSession: (.all, .owned, .none, .none)
        case .deleteSession: (.all, .none, .none, .none)
        case .holdSession: (.none, .none, .none, .all)
        case .readHolds: (.all, .none, .none, .all)
        case .uploadChunk: (.all, .owned, .none, .none)
        case .readChunks: (.all, .shared, .shared, .all)
        case .readContent: (.all, .shared, .shared, .all)
        case .readSealed: (.all, .shared, .shared, .all)
        case .readProof: (.all, .shared, .shared, .all)
        case .readPipeline: (.all, .shared, .shared, .all)
        case .controlPipeline: (.all, .owned, .none, .none)
        case .readStatistics: (.all, .shared, .shared, .all)
        case .readSystemStatistics: (.all, .none, .none, .all)
        case .readEvents: (.all, .shared, .shared, .all)
        case .readAllEvents: (.all, .none, .none, .all)
        case .exportKey: (.none, .none, .none, .all)
        case .readAudit: (.none, .none, .none, .all)
        case .readConfiguration: (.all, .none, .none, .all)
        case .changeConfiguration: (.none, .none, .none, .none)
        }
    }

    /// The table as text, a line for each operation.
    package static var table: String {
        let width = (Operation.allCases.map(\.rawValue.count).max() ?? 0) + 2
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        func line(_ name: String, _ cells: [String]) -> String {
            let cells = zip(Role.allCases, cells).map { padded($1, $0.rawValue.count + 2) }
            let text = padded(name, width) + cells.joined()
            return String(text.reversed().drop { $0 == " " }.reversed())
        }
        let rows = Operation.allCases.map { operation in
            line(operation.rawValue, Role.allCases.map { "\(reach(of: $0, operation))" })
        }
        return ([line("operation", Role.allCases.map(\.rawValue))] + rows).joined(separator: "\n")
    }
}
