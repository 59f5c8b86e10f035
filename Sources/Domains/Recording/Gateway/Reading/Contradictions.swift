internal import Base
internal import Recording

/// Sessions of which the read models show what the log does not say: somebody has written there who is not
/// the projector. Each is told once, and all are counted.
final class Contradictions: Sendable {
    /// Sessions that are remembered as told.
    private static let remembered = 10_000

    private struct State {
        var told: Set<String> = []
        var count = 0
    }

    private let state = Lock(State())
    private let report: @Sendable (String) -> Void

    init(_ report: @escaping @Sendable (String) -> Void) { self.report = report }

    /// How often something was left out, or taken from the log instead, because of one.
    var count: Int { state.withLock { $0.count } }

    /// Looks whether what is shown contradicts the log, or the log has merely gone on meanwhile.
    /// - Parameters:
    ///   - session: that was asked for.
    ///   - logged: the session as the log has it; nil when it knows none.
    func note(_ view: SessionView, asked session: String? = nil, _ logged: SessionView?) {
        let id = session ?? view.sessionID
        guard let logged else { return note(id, "the log knows no such session") }
        if view.sessionID != id { return note(id, "it is another one's") }
        if logged.status == .deleted || SessionFacts(logged).agreement(with: view) != .contradicting {
            return
        }
        note(id, "its description is not what the log says")
    }

    private func note(_ session: String, _ text: String) {
        let isNew = state.withLock { state in
            state.count += 1
            if state.told.count >= Self.remembered { state.told.removeAll() }
            return state.told.insert(session).inserted
        }
        guard isNew else { return }
        report("the read models contradict the log about session \(session): \(text); the log counts")
    }
}
