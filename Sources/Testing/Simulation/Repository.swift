package import Base
package import Foundation

/// Files of the repository, found from where this file is.
package enum Repository {
    /// Its root folder: the nearest one above this file that has a package's manifest.
    package static let root: URL = {
        var folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        while folder.path != "/",
            !FileManager.default.fileExists(atPath: folder.appendingPathComponent("Package.swift").path)
        {
            folder.deleteLastPathComponent()
        }
        return folder
    }()
    /// Where the schemas of events are.
    package static let events = root.appendingPathComponent("schemas/events")
    /// Where an example of each is.
    package static let golden = events.appendingPathComponent("golden")

    /// The schema of a type's version.
    package static func schema(of type: String, version: Int = 1) throws -> JSONValue {
        let file = events.appendingPathComponent("\(type).v\(version).json")
        return try JSONValue(parsing: Array(try Data(contentsOf: file)))
    }

    /// Whether there is one.
    package static func hasSchema(of type: String, version: Int) -> Bool {
        FileManager.default.fileExists(
            atPath: events.appendingPathComponent("\(type).v\(version).json").path)
    }
}

extension JSONValue {
    /// The paths of all numbers that a schema of an object describes, and their own schemas.
    package var numberPaths: [(path: [String], schema: JSONValue)] {
        (self["properties"]?.members ?? []).flatMap { member -> [(path: [String], schema: JSONValue)] in
            switch member.value["type"]?.string {
            case "integer", "number": [([member.name], member.value)]
            case "object": member.value.numberPaths.map { ([member.name] + $0.path, $0.schema) }
            default: []
            }
        }
    }

    /// The object with one member, found by path, replaced by other JSON text; nil where there is none.
    package func text(with path: [String], as text: String) -> String? {
        let mark = "here stands another number"
        let replaced = replacing(path[...], with: .string(mark))
        guard replaced != self else { return nil }
        return String(decoding: replaced.encoded, as: UTF8.self).replacing("\"\(mark)\"", with: text)
    }

    /// The value as compact JSON text, members in their order.
    package var encoded: [UInt8] {
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
    package func replacing(_ path: ArraySlice<String>, with value: JSONValue?) -> JSONValue {
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
    package var memberPaths: [[String]] {
        guard case .object(let members) = self else { return [] }
        return members.flatMap { member in
            [[member.name]] + member.value.memberPaths.map { [member.name] + $0 }
        }
    }
}
