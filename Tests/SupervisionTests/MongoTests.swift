import Supervision
import Testing

@testable import EmbeddedServers

@Suite("The embedded mongod")
struct MongoTests {
    @Test(arguments: [false, true])
    func itsReplicaSetFollowsItToAnotherPort(hasUsers: Bool) throws {
        let scratch = Scratch()
        let logins = hasUsers ? ServerCredentials.generate().mongo : nil
        let first = EmbeddedMongo(folder: scratch.path, port: try Loopback.freePort(), logins: logins)
        let child = try first.start()
        #expect(first.probe() == .ready)
        #expect(child.terminate(withinMilliseconds: 20_000) == .exited(0))
        let moved = EmbeddedMongo(folder: scratch.path, port: try Loopback.freePort(), logins: logins)
        let again = try moved.start()
        #expect(moved.probe() == .ready)
        again.terminate(withinMilliseconds: 20_000)
        #expect(moved.probe() != .ready)
    }
}
