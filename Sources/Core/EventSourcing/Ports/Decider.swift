package import Base

/// A domain event: one enum per aggregate, with its types and versions.
package protocol Event: Sendable {
    /// The CloudEvents type, such as `OrderPlaced`.
    var typeName: String { get }
    /// The newest version of the type's schema that is known at a level; nil where the type is not.
    func version(at level: FormatLevel) -> Int?
    /// The id of what it is about.
    var subject: String { get }
    /// Writes the payload, one JSON object, as that version of the schema has it.
    func encode(_ version: Int, into writer: inout JSONWriter)
    /// Reads a payload of any version that was ever written (old ones are upcast).
    init(type: String, version: Int, data: JSONValue) throws(MalformedEvent)
}

extension Event {
    /// Reads what stands in the log.
    package init(_ recorded: RecordedEvent) throws(MalformedEvent) {
        let json: JSONValue
        do { json = try JSONValue(parsing: recorded.data) } catch {
            throw MalformedEvent(type: recorded.type, text: "data: \(error)")
        }
        try self.init(type: recorded.type, version: recorded.event.version, data: json)
    }
}

/// An event in the log that cannot be understood.
package struct MalformedEvent: Error, Sendable, Hashable, CustomStringConvertible {
    /// The event's type.
    package var type: String
    /// What is wrong, naming the field.
    package var text: String
    package init(type: String, text: String) {
        self.type = type
        self.text = text
    }

    /// Type and text.
    package var description: String { "event \(type): \(text)" }
}

/// The rules of one aggregate, without I/O (after Chassaing's Decider).
package protocol Decider {
    /// What may be asked.
    associatedtype Command: Sendable
    /// What is known.
    associatedtype State: Sendable
    /// What happens.
    associatedtype Fact: Event
    /// Why something may not happen.
    associatedtype Rejection: Error

    /// State before the first event.
    static var initial: State { get }
    /// What happens when `command` is carried out in `state`; no fact when there is nothing to do.
    static func decide(_ command: Command, _ state: State) throws(Rejection) -> [Fact]
    /// Takes one fact into account.
    static func evolve(_ state: inout State, _ fact: Fact)
}
