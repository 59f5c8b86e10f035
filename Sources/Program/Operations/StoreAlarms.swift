package import Base
package import RecordingMongo
internal import Console
internal import EventSourcing
package import MongoViews
internal import Recording
internal import RedisLog

/// What `reel status` says of the databases: documents that are none of Reel's, and keys that are missing.
package struct StoreAlarms {
    /// Sessions whose keys and folds are looked at on the spot; where there are more, the last look of the
    /// system counts.
    private static let onTheSpot = 5_000
    /// Lines of a kind that are shown to people.
    private static let shown = 5

    private let foreign: [ForeignDocuments.Document]
    private let keys: MongoVault.Report?
    /// Why keys cannot be looked at; nil when they can.
    private let failure: String?

    /// - Parameters:
    ///   - report: what the system's last look at the keys found.
    ///   - sweep: a look at all keys, for few sessions.
    package init(
        _ views: MongoReadModels, sessions: Int, report: () throws -> MongoVault.Report?,
        sweep: () throws -> KeySweep
    ) throws {
        try views.reviewForeign(isKeeping: false)
        try views.reviewStates(atMost: Self.onTheSpot)
        foreign = views.foreign.current
        do {
            keys = sessions > Self.onTheSpot ? try report() : try Self.look(try sweep())
            failure = nil
        } catch {
            // The rest of the status is worth seeing.
            keys = nil
            failure = "\(error)"
        }
    }

    private static func look(_ sweep: KeySweep) throws -> MongoVault.Report {
        var sweep = sweep
        while try sweep.next() {}
        return MongoVault.Report(
            time: SystemClock().now(), count: sweep.findings.count,
            named: sweep.findings.map(\.description))
    }

    /// Lines for people, with an empty one behind them; none when all is well.
    package var lines: [String] {
        var lines = failure.map { ["KEYS      cannot be looked at: \($0)"] } ?? []
        if let keys, keys.count > 0 {
            lines += keys.named.prefix(Self.shown).map { "KEYS      \($0)" }
            if keys.count > Self.shown {
                lines.append(
                    "          \(Quantity.grouped(keys.count)) keys are missing; 'reel keys check' names all")
            }
        }
        lines += foreign.prefix(Self.shown).map { "FOREIGN   \($0)" }
        if foreign.count > Self.shown {
            lines.append("          and \(Quantity.grouped(foreign.count - Self.shown)) more")
        }
        if !foreign.isEmpty {
            lines.append("          what to do: remove them, or 'reel replay', which leaves them out")
        }
        return lines.isEmpty ? [] : lines + [""]
    }

    /// Writes the members that tell of them.
    package func write(into json: inout JSONWriter) {
        json.member("missing_keys") { json in
            json.member("count", keys?.count ?? 0)
            json.key("checked_at")
            if let keys { json.value(keys.time) } else { json.null() }
            json.member("named", keys?.named ?? [])
            if let failure { json.member("failure", failure) }
        }
        json.key("foreign_documents")
        json.array { list in
            for document in foreign {
                list.object { json in
                    json.member("collection", document.collection)
                    json.member("document", document.id)
                    json.member("reason", document.reason)
                }
            }
        }
    }
}
