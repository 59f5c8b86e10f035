import EventSourcing
import Foundation
import Gateway
import HTTPServer
import Testing

/// The description of the API against the routes that there are.
@Suite("OpenAPI", .timeLimit(.minutes(5)))
struct DocumentTests {
    /// The document as the gateway is given it; `openapi.py` holds it against `openapi.yaml`.
    private static func document() throws -> [UInt8] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return Array(
            try Data(
                contentsOf: tests.deletingLastPathComponent().appendingPathComponent("schemas/openapi.json")))
    }

    @Test("Every route is described, and nothing else is")
    func routes() throws {
        let document = try Self.document()
        let gateway = try TestGateway { $1.openAPI = document }
        let served = gateway.table.filter { $0.template.hasPrefix("/api/v1/") }.map {
            "\($0.method.rawValue) \($0.template.dropFirst("/api/v1".count))"
        }
        let methods = Set(HTTPMethod.allCases.map { $0.rawValue.lowercased() })
        let paths = try #require(JSONValue(parsing: document)["paths"]?.members)
        let described = paths.flatMap { path in
            (path.value.members ?? []).filter { methods.contains($0.name) }.map {
                "\($0.name.uppercased()) \(path.name)"
            }
        }
        #expect(described.sorted() == served.sorted())
        // What is answered without the prefix is the same as with it.
        let bare = gateway.table.filter { !$0.template.hasPrefix("/api/v1/") }.map {
            "\($0.method.rawValue) \($0.template)"
        }
        #expect(!bare.isEmpty)
        #expect(Set(bare).isSubset(of: served))
    }

    @Test("The document is answered to the byte, to anybody")
    func answer() throws {
        let document = try Self.document()
        let gateway = try TestGateway { $1.openAPI = document }
        let answer = try gateway.ask("GET", "/openapi.json", as: nil)
        #expect(answer.status == 200)
        #expect(answer.body == document)
        #expect(try gateway.ask("POST", "/openapi.json").status == 405)
        #expect(try TestGateway().ask("GET", "/openapi.json").status == 404)
    }
}
