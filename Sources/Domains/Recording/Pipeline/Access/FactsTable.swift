internal import Recording
internal import Access

/// Whose sessions are, kept once for all sessions of the same owner and project.
final class SharedOwnership: Sendable {
    let ownership: Ownership

    init(_ ownership: Ownership) { self.ownership = ownership }
}

/// Stands for a session's id, in 16 bytes: random to whoever does not know this process's seed, so that
/// nobody can make two ids that are taken for one another.
struct FactsKey: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    init(_ session: String) {
        var hasher = Hasher()
        session.hash(into: &hasher)
        // Of one hasher both halves would depend on each other.
        var other = Hasher()
        other.combine(UInt8(1))
        session.hash(into: &other)
        high = UInt64(bitPattern: Int64(hasher.finalize()))
        low = UInt64(bitPattern: Int64(other.finalize()))
    }

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// Facts by key, in one array of 72 bytes for each: open addressing with linear probing, where keys stand in
/// the order of their homes. A dictionary would take half as much again.
struct FactsTable {
    struct Facts {
        var owner: SharedOwnership
        var description: DescriptionDigest
        var version: UInt64
    }

    private struct Slot {
        var key: FactsKey
        var facts: Facts?
    }

    private var slots: [Slot] = []
    private(set) var count = 0

    private static let empty = Slot(key: FactsKey(high: 0, low: 0), facts: nil)

    subscript(key: FactsKey) -> Facts? {
        get {
            guard !slots.isEmpty else { return nil }
            var place = home(key)
            while let facts = slots[place].facts {
                if slots[place].key == key { return facts }
                place = next(place)
            }
            return nil
        }
        set {
            if let newValue { set(newValue, key) } else { remove(key) }
        }
    }

    func forEach(_ body: (Facts) -> Void) {
        for slot in slots { if let facts = slot.facts { body(facts) } }
    }

    /// Where a key belongs: homes go up as keys do.
    private func home(_ key: FactsKey) -> Int {
        Int(key.high.multipliedFullWidth(by: UInt64(slots.count)).high)
    }

    private func next(_ place: Int) -> Int { place + 1 == slots.count ? 0 : place + 1 }

    private mutating func set(_ facts: Facts, _ key: FactsKey) {
        if (count + 1) * 4 > slots.count * 3 { grow() }
        var place = home(key)
        while slots[place].facts != nil {
            if slots[place].key == key {
                slots[place].facts = facts
                return
            }
            place = next(place)
        }
        slots[place] = Slot(key: key, facts: facts)
        count += 1
    }

    private mutating func remove(_ key: FactsKey) {
        guard !slots.isEmpty else { return }
        var place = home(key)
        while slots[place].key != key || slots[place].facts == nil {
            if slots[place].facts == nil { return }
            place = next(place)
        }
        slots[place] = Self.empty
        count -= 1
        // Those behind it that it kept from their homes move up.
        var hole = place
        place = next(place)
        while slots[place].facts != nil {
            let home = home(slots[place].key)
            let isBetween = hole < place ? hole < home && home <= place : hole < home || home <= place
            if !isBetween {
                slots[hole] = slots[place]
                slots[place] = Self.empty
                hole = place
            }
            place = next(place)
        }
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Self.empty, count: max(16, old.count + old.count / 4))
        count = 0
        for slot in old { if let facts = slot.facts { set(facts, slot.key) } }
    }
}
