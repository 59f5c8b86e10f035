internal import Synchronization

/// Values by key, of which the ones that were not used for longest go when there are too many.
///
/// Two generations in place of a list: what is used moves to the young one, and when that is full the old
/// one goes. So between half of the limit and all of it is kept, and nothing is sorted.
final class Shelf<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct State {
        var young: [Key: Value] = [:]
        var old: [Key: Value] = [:]
    }

    private let half: Int
    private let state = Mutex(State())

    /// A shelf for at most `limit` values.
    init(limit: Int) { half = max(1, limit / 2) }

    subscript(key: Key) -> Value? {
        get {
            state.withLock { state in
                if let value = state.young[key] { return value }
                guard let value = state.old.removeValue(forKey: key) else { return nil }
                put(value, key, &state)
                return value
            }
        }
        set {
            state.withLock { state in
                state.old[key] = nil
                guard let newValue else {
                    state.young[key] = nil
                    return
                }
                put(newValue, key, &state)
            }
        }
    }

    /// The value of a key, made where there is none.
    func value(of key: Key, orMake make: () -> Value) -> Value {
        state.withLock { state in
            if let value = state.young[key] { return value }
            let value = state.old.removeValue(forKey: key) ?? make()
            put(value, key, &state)
            return value
        }
    }

    private func put(_ value: Value, _ key: Key, _ state: inout State) {
        if state.young.count >= half, state.young[key] == nil {
            state.old = state.young
            state.young = [:]
        }
        state.young[key] = value
    }
}
