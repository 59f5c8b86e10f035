/// Values by key, of which the ones that were not used for longest go when there are too many.
///
/// Two generations in place of a list: what is used moves to the young one, and when that is full the old
/// one goes. So between half of the limit and all of it is kept, and nothing is sorted.
package final class SharedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct State {
        var young: [Key: Value] = [:]
        var old: [Key: Value] = [:]
        /// Of all that is in `young`.
        var weight = 0
    }

    private let half: Int
    private let weight: @Sendable (Value) -> Int
    private let state = Lock(State())

    /// A cache for values that weigh `limit` together at most; by default each weighs 1.
    package init(limit: Int, weight: @escaping @Sendable (Value) -> Int = { _ in 1 }) {
        half = max(1, limit / 2)
        self.weight = weight
    }

    /// The value of a key; nil where there is none.
    package subscript(key: Key) -> Value? {
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
                    if let value = state.young.removeValue(forKey: key) { state.weight -= weight(value) }
                    return
                }
                put(newValue, key, &state)
            }
        }
    }

    /// The value of a key, made where there is none.
    package func value(of key: Key, orMake make: () -> Value) -> Value {
        state.withLock { state in
            if let value = state.young[key] { return value }
            let value = state.old.removeValue(forKey: key) ?? make()
            put(value, key, &state)
            return value
        }
    }

    private func put(_ value: Value, _ key: Key, _ state: inout State) {
        if let replaced = state.young.removeValue(forKey: key) { state.weight -= weight(replaced) }
        let added = weight(value)
        if state.weight + added > half, !state.young.isEmpty {
            state.old = state.young
            state.young = [:]
            state.weight = 0
        }
        state.young[key] = value
        state.weight += added
    }
}
