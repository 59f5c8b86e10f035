package import EventSourcing

/// The stages that a chunk goes through, in order. Each is a consumer group of this name.
package enum StageName: String, Sendable, CaseIterable, Comparable {
    case compress, encrypt, validate, store

    /// The event type that a stage takes up.
    package var consumes: String {
        switch self {
        case .compress: "ChunkRecorded"
        case .encrypt: "ChunkCompressed"
        case .validate: "ChunkSealed"
        case .store: "ChunkValidated"
        }
    }

    /// The event type that tells of its work.
    package var emits: String {
        switch self {
        case .compress: "ChunkCompressed"
        case .encrypt: "ChunkSealed"
        case .validate: "ChunkValidated"
        case .store: "ChunkStored"
        }
    }

    /// Its subscription: what it has not dealt with stays in the log's server.
    package var subscription: Subscription { Subscription(rawValue, .group, parks: true, holdsBack: true) }

    private var place: Int { StageName.allCases.firstIndex(of: self) ?? 0 }

    /// In the order in which chunks go through them.
    package static func < (a: StageName, b: StageName) -> Bool { a.place < b.place }

    /// For each of the stages that one process owns, the chain that begins with it: it and the
    /// stages that follow it without a gap. A chunk that comes in at a stage goes through the rest of
    /// its chain in memory.
    package static func chains(of owned: Set<StageName>, chaining: Bool = true) -> [[StageName]] {
        StageName.allCases.filter(owned.contains).map { first in
            guard chaining else { return [first] }
            let following = StageName.allCases.drop { $0 < first }
            return Array(following.prefix { owned.contains($0) })
        }
    }
}
