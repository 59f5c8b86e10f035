package import Access
internal import HTTPServer
package import Recording

/// Whose every session is, as the log says it, in the memory of a process that follows the log. Calls come
/// from several threads and never block.
package protocol SessionFactsDirectory: Sendable {
    /// Whether it knows everything that the log holds, but for what was appended a moment ago.
    var isCurrent: Bool { get }
    /// The facts of a session; nil where there is none, or nothing is known of it here.
    func facts(of session: String) -> SessionFacts?
    /// Notes what whoever calls has appended.
    func learn(_ facts: SessionFacts, of session: String)
    /// How many sessions have an ownership that passes.
    func count(where passes: (Ownership) -> Bool) -> Int
}

/// What decides who may see sessions: the log's facts, from memory where they are there, else from the
/// session's history. Never a read model, which others may be able to write.
final class SessionAccess: Sendable {
    private let directory: (any SessionFactsDirectory)?
    private let folds: SessionFolds

    init(_ directory: (any SessionFactsDirectory)?, _ folds: SessionFolds) {
        self.directory = directory
        self.folds = folds
    }

    /// Whether the facts of all sessions are in memory; nil where they never are.
    var isCurrent: Bool? { directory?.isCurrent }

    /// The facts of a session where they are in memory. Never blocks.
    func known(of session: String) -> SessionFacts? {
        guard let directory, directory.isCurrent else { return nil }
        return directory.facts(of: session)
    }

    /// The facts of a session; nil when there is none, or no longer.
    func facts(of session: String) throws -> SessionFacts? {
        if let known = known(of: session) { return known }
        guard let view = try folds.fold(of: session)?.session, view.status != .deleted else { return nil }
        return SessionFacts(view)
    }

    /// How many sessions somebody sees; nil where that can't be said from memory.
    func count(where passes: (Ownership) -> Bool) -> Int? {
        guard let directory, directory.isCurrent else { return nil }
        return directory.count(where: passes)
    }

    /// Notes what was made here.
    func learn(_ created: SessionEvent.Created) {
        directory?.learn(SessionFacts(created), of: created.sessionID)
    }

    /// Notes what was changed here.
    func learn(_ description: SessionDescription, of session: String, version: UInt64) {
        guard let directory, let known = directory.facts(of: session) else { return }
        directory.learn(known.changed(to: description, version: version), of: session)
    }
}

/// A session as it is answered, for somebody who may see it.
struct AdmittedSession: Sendable {
    private let answer: SessionAnswer
    /// What it was decided on.
    private let facts: SessionFacts

    /// - Parameter facts: as they are known now: of these and those that the answer was made with, the newer
    ///   ones count.
    init(_ answer: SessionAnswer, _ facts: SessionFacts) {
        self.answer = answer
        self.facts = facts.version >= answer.facts.version ? facts : answer.facts
    }

    /// Whose it is.
    var ownership: Ownership { facts.ownership }
    /// A sequence of its history up to which that is known.
    var decidedAt: UInt64 { facts.version }
    /// Sequence of the last event that is sure to be in it.
    var version: UInt64 { answer.version }
    /// Where it is in its life.
    var status: SessionStatus { answer.status }

    /// What somebody is answered who may see the session.
    func response(to subject: Subject, status: Int = 200, headers: [HeaderField] = []) -> Response {
        answer.response(to: subject, status: status, headers: headers)
    }
}

/// From where what is shown of a single session comes.
enum ReadSource: Sendable {
    /// The read models, where they are not behind.
    case models
    /// The log. For those who see only some sessions: who can write the read models could put another
    /// session's details there.
    case log
}
