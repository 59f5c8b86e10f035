/// A cache with a bound: what was used among the last `limit` different keys stays, what was not used for
/// two times as many is gone. Costs a dictionary access, and no list has to be kept in order.
struct GenerationCache<Value: AnyObject> {
    private var young: [String: Value] = [:]
    private var old: [String: Value] = [:]
    private let limit: Int

    /// A cache that holds at most twice `limit` values.
    init(limit: Int) {
        precondition(limit > 0, "a cache has room for one value at least")
        self.limit = limit
    }

    var count: Int { young.count + old.count }

    mutating func value(_ key: String) -> Value? {
        if let value = young[key] { return value }
        guard let value = old.removeValue(forKey: key) else { return nil }
        insert(value, for: key)
        return value
    }

    mutating func insert(_ value: Value, for key: String) {
        if young[key] == nil {
            old[key] = nil
            if young.count >= limit {
                old = young
                young = [:]
            }
        }
        young[key] = value
    }

    mutating func removeAll() {
        young = [:]
        old = [:]
    }
}
