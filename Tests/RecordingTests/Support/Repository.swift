import EventSourcing
import Foundation
import Recording
import Testing

/// Files of the repository, found from where this file is.
enum Repository {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let events = root.appendingPathComponent("schemas/events")
    static let golden = events.appendingPathComponent("golden")

    static func schema(of type: String, version: Int = 1) throws -> JSONValue {
        let file = events.appendingPathComponent("\(type).v\(version).json")
        return try JSONValue(parsing: Array(try Data(contentsOf: file)))
    }

    static func hasSchema(of type: String, version: Int) -> Bool {
        FileManager.default.fileExists(
            atPath: events.appendingPathComponent("\(type).v\(version).json").path)
    }

    /// The lines of a golden file, each one CloudEvent.
    static func goldenLines(of type: String, version: Int = 1) throws -> [[UInt8]] {
        let file = golden.appendingPathComponent("\(type).v\(version).json")
        let bytes = Array(try Data(contentsOf: file))
        try #require(bytes.last == 0x0A, "\(type): a golden file ends with a newline")
        return bytes.dropLast().split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
    }
}

extension JSONValue {
    /// The value as compact JSON text, members in their order.
    var encoded: [UInt8] {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.bytes
    }

    private func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let flag): writer.value(flag)
        case .integer(let integer): writer.value(integer)
        case .number(let number): writer.value(number)
        case .string(let string): writer.value(string)
        case .array(let elements): writer.array { for element in elements { element.write(to: &$0) } }
        case .object(let members):
            writer.object { json in
                for member in members {
                    json.key(dynamic: member.name)
                    member.value.write(to: &json)
                }
            }
        }
    }

    /// The object with one member, found by path, replaced, or taken out by nil.
    func replacing(_ path: ArraySlice<String>, with value: JSONValue?) -> JSONValue {
        guard case .object(let members) = self, let name = path.first else { return self }
        return .object(
            members.compactMap { member in
                guard member.name == name else { return member }
                var member = member
                if path.count > 1 {
                    member.value = member.value.replacing(path.dropFirst(), with: value)
                } else {
                    guard let value else { return nil }
                    member.value = value
                }
                return member
            })
    }

    /// The paths of all members of this object and the objects within.
    var memberPaths: [[String]] {
        guard case .object(let members) = self else { return [] }
        return members.flatMap { member in
            [[member.name]] + member.value.memberPaths.map { [member.name] + $0 }
        }
    }
}

/// The seed of a random test: `REEL_TEST_SEED`, else a new one. It is printed, so that a failure can be
/// repeated.
func testSeed(_ name: String) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["REEL_TEST_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: .min ... .max)
    FileHandle.standardError.write(Data("\(name): REEL_TEST_SEED=\(seed)\n".utf8))
    return seed
}
