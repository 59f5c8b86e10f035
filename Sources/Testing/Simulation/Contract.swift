package import Base
package import EventSourcing

/// A promise of a port that an implementation breaks.
package struct ContractViolation: Error, Sendable, CustomStringConvertible {
    /// What was expected and what came.
    package let description: String
}

/// One promise of a port, checked on a fresh, empty log. The same cases run on every implementation.
package struct ContractCase: Sendable, CustomStringConvertible {
    /// The promise in a sentence.
    package let description: String
    /// Checks it; throws `ContractViolation` or what the log throws. Blocks.
    package let check: @Sendable (any EventLog) throws -> Void

    init(_ description: String, _ check: @escaping @Sendable (any EventLog) throws -> Void) {
        self.description = description
        self.check = check
    }
}

/// How an entry of a log is made unreadable.
package enum Spoiling: Sendable, CaseIterable {
    /// Its session and its sequence can still be told.
    case partly
    /// Nothing can be told of it.
    case wholly
}

func expect(_ condition: Bool, _ text: @autoclosure () -> String) throws {
    guard condition else { throw ContractViolation(description: text()) }
}

func expectEqual<T: Equatable>(_ found: T, _ wanted: T, _ what: String) throws {
    try expect(found == wanted, "\(what): expected \(wanted), found \(found)")
}

func expectFenced(_ body: () throws(LogFailure) -> Void) throws {
    do { try body() } catch {
        return try expectEqual(error.kind, .fenced, "kind of \(error)")
    }
    throw ContractViolation(description: "a late owner was heard")
}

/// Events for tests: small, valid, told apart by their id.
package enum SampleEvents {
    /// An event with the given id; its payload is derived from `number`.
    package static func event(
        _ id: String, type: String = "Sampled", subject: String = "sample", number: Int = 0
    ) -> ProposedEvent {
        ProposedEvent(
            id: id, type: type, version: 1, subject: subject,
            time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number)),
            context: EventContext(source: "/reel/test", actor: .system("test")),
            data: Array("{\"number\":\(number)}".utf8))
    }

    /// An event with the largest payload that there may be.
    package static func largest(_ id: String) -> ProposedEvent {
        var large = event(id)
        let filler = String(repeating: "x", count: LogLimits.bytesPerPayload - 8)
        large.data = Array("{\"a\":\"\(filler)\"}".utf8)
        return large
    }

    /// A partition key that belongs to the given partition.
    package static func key(in partition: Int, of partitioning: Partitioning, salt: String = "s") -> String {
        var number = 0
        while partitioning.partition(of: "\(salt)-\(number)") != partition { number += 1 }
        return "\(salt)-\(number)"
    }
}

extension ProposedEvent {
    /// An event of a test, in the newest version there is.
    package init(sample fact: some Event, id: String, time: Timestamp, context: EventContext) {
        guard let version = fact.version(at: .newest) else {
            preconditionFailure("\(fact.typeName) has no version")
        }
        self.init(fact, id: id, time: time, context: context, version: version)
    }
}
