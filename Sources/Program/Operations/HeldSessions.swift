package import Base
internal import Console
package import EventSourcing
internal import Pipeline
internal import Recording

/// The sessions that `reel status` shows as held.
package struct HeldSessions {
    /// The most sessions that are looked up: each costs reading its history.
    package static let limit = 100

    private let holds: [ProcessingHold]
    private let hasMore: Bool

    /// - Parameter sessions: those whose pipelines the read model shows as paused; the log says which of them
    ///   only rest with their recording.
    package init(among sessions: [String], in store: any EventStore) throws {
        holds = try sessions.prefix(Self.limit).compactMap { try Self.hold(of: $0, in: store) }
        hasMore = sessions.count > Self.limit
    }

    /// A session that cannot be read, as in a halted partition, is shown elsewhere.
    private static func hold(of session: String, in store: any EventStore) throws -> ProcessingHold? {
        do { return try ProcessingHold(ofSession: session, in: store) } catch is MalformedEvent {
            return nil
        } catch let error as LogFailure where error.kind == .lostHistory || error.isOfRecord {
            return nil
        }
    }

    /// Lines for people, with an empty one behind them; none when nothing is held.
    package var lines: [String] {
        if holds.isEmpty { return [] }
        var lines = holds.map { hold in
            "HELD      session \(hold.sessionID): processing is paused since "
                + "\(ShortTime.text(hold.since)) by \(hold.by.id), \(Quantity.grouped(hold.waitingChunks)) chunks wait"
        }
        if hasMore {
            lines.append("          and more; the first \(Self.limit) paused pipelines were looked at")
        }
        return lines + [""]
    }

    /// Writes an array of them.
    package func write(into json: inout JSONWriter) {
        json.array { list in
            for hold in holds {
                list.object { json in
                    json.member("session_id", hold.sessionID)
                    json.member("since", hold.since)
                    json.member("by", hold.by.id)
                    json.member("waiting_chunks", hold.waitingChunks)
                }
            }
        }
    }
}
