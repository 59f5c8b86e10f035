internal import EventSourcing

/// Turns the server's error replies into failures: the one place that knows their words.
enum ServerError {
    /// The failure that an error reply stands for.
    static func failure(_ text: String, operation: String, key: String) -> LogFailure {
        let words = text.split(separator: " ", maxSplits: 2).map(String.init)
        if words.count == 3, words[0] == Self.corruptCode {
            return LogFailure(.corrupt, operation: operation, key: words[1], text: "it \(words[2])")
        }
        let (kind, explained) = meaning(of: text)
        // Of what is gone the functions answer while they read or write it: nobody is away.
        return LogFailure(
            kind, operation: operation, key: key, text: explained ?? text,
            isOfRecord: kind == .lostHistory ? true : nil)
    }

    /// What an answer of our functions says is wrong, with the key that it names.
    static func finding(in text: String) -> String {
        let failure = failure(text, operation: "", key: "")
        return failure.kind == .corrupt && !failure.key.isEmpty
            ? "\(failure.key): \(failure.text)" : failure.text
    }

    /// Begins the answers of our functions about a key that holds something else than Reel wrote; the key
    /// follows, and what is wrong with it.
    static let corruptCode = "REELCORRUPT"

    /// Whether a failure says that some key of its command is of another type, without saying of which.
    static func isOverwritten(_ failure: LogFailure) -> Bool {
        failure.kind == .corrupt
            && (failure.text == Self.overwritten || failure.text == "it \(FunctionLibrary.overwritten)")
    }

    private static let overwritten = "a key of the log holds something else: it was overwritten"

    static func kind(of text: String) -> LogFailure.Kind { meaning(of: text).0 }

    /// What an error reply means, and what is said instead of its own words where they don't help.
    private static func meaning(of text: String) -> (LogFailure.Kind, String?) {
        let code = text.prefix { $0 != " " }
        switch code {
        case "LOADING": return (.loading, nil)
        case "NOGROUP", "UNBLOCKED": return (.noGroup, nil)
        case "BUSY", "TRYAGAIN": return (.timedOut, nil)
        case "WRONGTYPE": return (.corrupt, Self.overwritten)
        case Substring(Self.corruptCode): return (.corrupt, String(text.dropFirst(code.count + 1)))
        case "REELLOST": return (.lostHistory, String(text.dropFirst(code.count + 1)))
        case "REELINVALID": return (.invalid, nil)
        case "NOAUTH": return (.denied, "the server wants a password and the URL has none")
        case "WRONGPASS": return (.denied, "the server refuses the user or the password of the URL")
        case "NOPERM", "REELDENIED": return (.denied, denial(code, text))
        case "MOVED", "ASK", "CROSSSLOT":
            return (.server, "the server is a node of a cluster: name it by redis+cluster:// (\(text))")
        default: return refusal(code, text) ?? plain(text)
        }
    }

    /// Which permission the user lacks, and how it is given. The server says it in a sentence, the log's
    /// functions in one word behind the code.
    private static func denial(_ code: Substring, _ text: String) -> String {
        let command =
            code == "REELDENIED"
            ? text.split(separator: " ").dropFirst().first.map(String.init)
            : quoted(in: text, behind: "permissions to run the ")
        let missing: String
        if let command {
            missing = "+\(command)"
        } else if text.contains("key") {
            missing = "~reel:*"
        } else {
            return "the user of the URL lacks a permission: \(text.dropFirst(code.count + 1))"
        }
        return "the user of the URL lacks the permission \(missing): give it with 'ACL SETUSER <user> "
            + "\(missing)' on the server; ops/docs/redis-acl.md lists all that are needed"
    }

    /// What stands between quotes there.
    private static func quoted(in text: String, behind words: String) -> String? {
        guard let range = text.firstRange(of: words + "'") else { return nil }
        let name = text[range.upperBound...].prefix { $0 != "'" }
        return name.isEmpty ? nil : String(name)
    }

    /// Writes that the server refuses for a reason of its own; a script's carry the code inside their text.
    private static func refusal(_ code: Substring, _ text: String) -> (LogFailure.Kind, String?)? {
        func says(_ word: String) -> Bool { code == word || text.contains("-\(word)") }
        if says("OOM") || text.contains("when used memory > 'maxmemory'") {
            return (
                .refusingWrites,
                "the server is at its maxmemory and takes nothing more; raise it, or archive what may leave "
                    + "it ('reel archive run')"
            )
        }
        if says("MISCONF") {
            return (
                .refusingWrites,
                "the server cannot write its disk and takes no writes: make room there, and see its log "
                    + "(\(text.drop { $0 != " " }.dropFirst()))"
            )
        }
        if says("READONLY") {
            return (.refusingWrites, "the server is a read-only replica and takes no writes")
        }
        if says("NOREPLICAS") {
            return (
                .refusingWrites,
                "the server has fewer good replicas than its min-replicas-to-write and takes no writes"
            )
        }
        if code == "MASTERDOWN" || code == "CLUSTERDOWN" { return (.refusingWrites, nil) }
        return nil
    }

    /// Errors that have no code of their own.
    private static func plain(_ text: String) -> (LogFailure.Kind, String?) {
        if text.contains("Function not found") { return (.functionMissing, nil) }
        if text.contains("WRONGTYPE") { return (.corrupt, Self.overwritten) }
        // Of a key: commands that a function may not call are named by itself.
        if text.contains("The user executing the script") {
            return (.denied, denial(text.prefix { $0 != " " }, text))
        }
        if text.contains("AUTH") && text.contains("without any password configured") {
            return (
                .denied, "the URL has a password and the server has none configured: is it the right one?"
            )
        }
        if text.contains("max number of clients reached") {
            return (
                .unreachable,
                "the server has as many clients as its maxclients allows; raise it, or end some of them"
            )
        }
        if text.contains("unknown command") || text.contains("unknown subcommand") {
            return (
                .server,
                "the server lacks a command that Reel needs: it is older than Redis 7.0, or the command is "
                    + "renamed or disabled (\(text))"
            )
        }
        if text.contains("DB index is out of range") {
            return (.server, "the server has no database of the number that the URL names")
        }
        return (.server, nil)
    }
}
