import EmbeddedServers
import Foundation
import Supervision
import Testing

@Suite("Settings and limits")
struct SettingsTests {
    private var root: URL {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
    }

    @Test func theEmbeddedRedisHasTheSettingsOfTheFile() throws {
        let text = try String(contentsOf: root.appending(path: "ops/redis.conf"), encoding: .utf8)
        let lines = text.split(separator: "\n").filter {
            !$0.hasPrefix("#") && !$0.allSatisfy(\.isWhitespace)
        }
        #expect(lines.map(String.init) == EmbeddedRedis.directives.map { "\($0.name) \($0.value)" })
    }

    @Test func theDurabilityThatIsPromisedIsSet() {
        let settings = Dictionary(EmbeddedRedis.directives.map { ($0.name, $0.value) }) { $1 }
        #expect(settings["appendonly"] == "yes")
        #expect(settings["appendfsync"] == "always")
        #expect(settings["maxmemory-policy"] == "noeviction")
        #expect(settings["bind"] == "127.0.0.1")
        #expect(settings["protected-mode"] == "yes")
    }

    @Test func aFreePortIsFreeAndATakenOneIsNot() throws {
        let port = try Loopback.freePort()
        #expect(Loopback.isFree(port))
        let file = try listener(on: port)
        defer { close(file) }
        #expect(!Loopback.isFree(port))
    }
}
