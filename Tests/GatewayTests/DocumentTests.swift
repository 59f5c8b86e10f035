import Base
import Foundation
import Gateway
import HTTPServer
import Testing

/// The description of the API against the routes that there are.
@Suite("OpenAPI", .timeLimit(.minutes(5)))
struct DocumentTests {
    /// The document as the gateway is given it; `openapi.py` holds it against its YAML.
    private static func document(of service: GatewayService) throws -> [UInt8] {
        let name = service == .api ? "openapi.json" : "openapi-\(service.rawValue).json"
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return Array(
            try Data(
                contentsOf: tests.deletingLastPathComponent().appendingPathComponent("schemas/\(name)")))
    }

    @Test("Every route is described, and nothing else is", arguments: GatewayService.allCases)
    func routes(service: GatewayService) throws {
        let document = try Self.document(of: service)
        let gateway = try TestGateway(serving: service) { $1.documents[service] = document }
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
        #expect(service == .api ? Set(bare).isSubset(of: served) : bare.sorted() == served.sorted())
    }

    @Test("The document is answered to the byte, to anybody", arguments: GatewayService.allCases)
    func answer(service: GatewayService) throws {
        let document = try Self.document(of: service)
        let gateway = try TestGateway(serving: service) { $1.documents[service] = document }
        let answer = try gateway.ask("GET", "/openapi.json", as: nil)
        #expect(answer.status == 200)
        #expect(answer.body == document)
        #expect(try gateway.ask("POST", "/openapi.json").status == 405)
        #expect(try TestGateway(serving: service).ask("GET", "/openapi.json").status == 404)
    }
}
