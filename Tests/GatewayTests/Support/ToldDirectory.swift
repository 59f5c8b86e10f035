import Base
import Gateway
import Recording
import Access

/// Knows of sessions what it was told.
final class ToldDirectory: SessionFactsDirectory {
    private struct State {
        var facts: [String: SessionFacts] = [:]
        var isCurrent = true
    }

    private let state = Lock(State())

    var isCurrent: Bool {
        get { state.withLock { $0.isCurrent } }
        set { state.withLock { $0.isCurrent = newValue } }
    }

    func facts(of session: String) -> SessionFacts? { state.withLock { $0.facts[session] } }

    func learn(_ facts: SessionFacts, of session: String) {
        state.withLock { state in
            if let known = state.facts[session], known.version >= facts.version { return }
            state.facts[session] = facts
        }
    }

    func forget(_ session: String) { state.withLock { $0.facts[session] = nil } }

    func count(where passes: (Ownership) -> Bool) -> Int {
        state.withLock { $0.facts.values.count { passes($0.ownership) } }
    }
}
