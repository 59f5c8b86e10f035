import Bench
import Base
import Engine
import Console
import EventSourcing
import Pipeline
import Recording
import ReadModels

/// What a replay did, for people and for programs.
struct ReplayReport {
    let scope: RebuildScope
    let outcome: Replay.Outcome
    let isResumed: Bool
    let isVerifying: Bool

    private var rate: Int {
        outcome.rebuild_ms > 0 ? outcome.events * 1_000 / outcome.rebuild_ms : 0
    }

    var json: JSONWriter {
        var writer = JSONWriter()
        let comparison = outcome.comparison
        writer.object { json in
            switch scope {
            case .everything: json.member("scope", "everything")
            case .collection(let name):
                json.member("scope", "collection")
                json.member("collection", name)
            case .history(let id):
                json.member("scope", "session")
                json.member("session_id", id)
            }
            json.member("verify_only", isVerifying)
            json.member("resumed", isResumed)
            json.member("interrupted", outcome.isInterrupted)
            json.member("swapped", outcome.isSwapped)
            json.member("events", outcome.events)
            json.member("events_per_second", rate)
            json.member("rebuild_ms", outcome.rebuild_ms)
            json.member("compare_ms", outcome.compare_ms)
            json.member("hold_ms", outcome.hold_ms)
            json.member("documents_compared", comparison.documents)
            json.member("differences", comparison.differences)
            json.member("unsettled", comparison.unsettled)
            json.member("peak_rss_bytes", PeakMemory.bytes)
            json.member("withheld", outcome.isWithheld)
            json.member("unreadable_count", outcome.unreadableCount)
            json.key("unreadable")
            json.array { list in for hole in outcome.unreadable { hole.encode(into: &list) } }
            json.member("waiting_count", outcome.waitingCount)
            json.key("waiting")
            json.array { list in
                for session in outcome.waiting {
                    list.object { json in
                        json.member("session_id", session.partitionKey)
                        json.member("position", session.position.description)
                        json.member("reason", session.reason)
                    }
                }
            }
            json.key("listed")
            json.array { list in
                for difference in comparison.listed { list.object { Self.write(difference, into: &$0) } }
            }
        }
        return writer
    }

    private static func write(_ difference: ReadModelDifference, into json: inout JSONWriter) {
        json.member("collection", difference.collection)
        json.member("key", difference.key)
        switch difference.kind {
        case .missing: json.member("difference", "missing")
        case .extra: json.member("difference", "extra")
        case .changed(let fields):
            json.member("difference", "changed")
            json.member("fields", fields)
        }
    }

    func print() throws {
        let comparison = outcome.comparison
        for difference in comparison.listed {
            let what: String
            switch difference.kind {
            case .missing: what = "missing"
            case .extra: what = "not in the log"
            case .changed(let fields): what = "differs in \(fields.joined(separator: ", "))"
            }
            let text = "\(difference.collection)  \(difference.key)  \(what)"
            try Output.line(Table.printable(text))
        }
        let more = comparison.differences - comparison.listed.count
        if more > 0 { try Output.line("… and \(Quantity.grouped(more)) more") }
        let seconds = Double(outcome.rebuild_ms) / 1_000
        try Output.line(
            "replayed \(Quantity.grouped(outcome.events)) events in \(Ratio.text(seconds)) s "
                + "(\(Quantity.grouped(rate))/s)\(isResumed ? ", going on from an earlier run" : "")")
        try Output.line(
            "compared \(Quantity.grouped(comparison.documents)) documents: "
                + "\(Quantity.grouped(comparison.differences)) differ")
        if comparison.unsettled > 0 {
            try Output.line(
                "\(Quantity.grouped(comparison.unsettled)) could not be decided: the projector is behind the "
                    + "log, or does not run")
        }
        try printGaps()
        if outcome.isSwapped {
            try Output.line("the new read models are in place; projectors waited \(outcome.hold_ms) ms")
        } else if outcome.isWithheld {
            try Output.line(
                "nothing was put in place: "
                    + (comparison.ahead > 0
                        ? "\(Quantity.grouped(comparison.ahead)) documents show more than can be read of the "
                            + "log now"
                        : "the log lacks events that it had, and the read models may be what is left of them")
                    + "; 'reel partitions list' says which partitions have lost something")
        } else if !isVerifying, !outcome.isInterrupted {
            try Output.line("nothing was to be changed")
        }
    }

    /// What could not be read, and who ends before it.
    private func printGaps() throws {
        for hole in outcome.unreadable { try Output.line(Table.printable("\(hole)")) }
        let holes = outcome.unreadableCount - outcome.unreadable.count
        if holes > 0 { try Output.line("… and \(Quantity.grouped(holes)) more entries") }
        for history in outcome.waiting {
            let key = history.partitionKey
            let name = Category.bare.contains(key) ? "session \(key)" : key
            let text = "\(name) ends before \(history.position): \(history.reason)"
            try Output.line(Table.printable(text))
        }
        let sessions = outcome.waitingCount - outcome.waiting.count
        if sessions > 0 { try Output.line("… and \(Quantity.grouped(sessions)) more sessions") }
    }

    // MARK: - A session as it was

    static func json(_ found: SessionAsOf) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.key("session")
            found.fold.session.encode(into: &json, as: .document)
            json.member("pipeline_status", found.fold.pipeline.view.status)
            json.key("chunks")
            json.array { list in
                for chunk in found.chunks { chunk.encode(into: &list, as: .document) }
            }
        }
        return writer
    }

    static func print(_ found: SessionAsOf) throws {
        try SessionsShowCommand.print(found.fold.session)
        try Output.line("pipeline".padding(to: 12) + found.fold.pipeline.view.status)
        for chunk in found.chunks {
            try Output.line(
                "chunk".padding(to: 12) + "\(chunk.sequenceNumber)  \(chunk.status.rawValue)  "
                    + "\(Quantity.grouped(chunk.sizeBytes)) bytes")
        }
    }
}
