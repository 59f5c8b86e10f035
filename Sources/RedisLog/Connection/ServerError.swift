internal import EventSourcing

/// Turns the server's error replies into failures: the one place that knows their words.
enum ServerError {
    /// The failure that an error reply stands for.
    static func failure(_ text: String, operation: String, key: String) -> LogFailure {
        LogFailure(kind(of: text), operation: operation, key: key, text: explained(text))
    }

    static func kind(of text: String) -> LogFailure.Kind {
        switch text.prefix(while: { $0 != " " }) {
        case "LOADING": return .loading
        case "OOM", "MISCONF", "READONLY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN": return .refusingWrites
        case "NOGROUP", "UNBLOCKED": return .noGroup
        case "BUSY", "TRYAGAIN": return .timedOut
        case "WRONGTYPE", "REELCORRUPT": return .corrupt
        case "REELINVALID": return .invalid
        default: break
        }
        // A script's refused write carries the code inside its text.
        if text.contains("-OOM") || text.contains("-READONLY") || text.contains("-MISCONF")
            || text.contains("when used memory > 'maxmemory'")
        {
            return .refusingWrites
        }
        return text.contains("Function not found") ? .functionMissing : .server
    }

    private static func explained(_ text: String) -> String {
        switch text.prefix(while: { $0 != " " }) {
        case "NOAUTH": "the server wants a password and the URL has none"
        case "WRONGPASS": "the server refuses the user or the password of the URL"
        case "NOPERM": "the user of the URL lacks a permission: \(text.dropFirst(7))"
        case "OOM": "the server is at maxmemory and refuses writes"
        case "MISCONF": "the server cannot write its disk and refuses writes: \(text.dropFirst(8))"
        case "READONLY": "the server is a read-only replica"
        default: text
        }
    }
}
