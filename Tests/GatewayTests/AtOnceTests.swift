import Base
import Access
import EventSourcing
import Foundation
import Glibc
import Recording
import Testing

@testable import Gateway
import APIKit

/// Knows what it was told.
private final class ToldVersions: LatestVersions {
    private let known = Lock<[String: UInt64]>([:])

    func version(of session: String) -> UInt64? { known.withLock { $0[session] } }
    func note(_ version: UInt64, of session: String) {
        known.withLock { $0[session] = max($0[session] ?? 0, version) }
    }
    func forget() { known.withLock { $0 = [:] } }
}

/// Tells who was asked: the limiter itself, or what it remembers.
private final class WatchedLimiter: RateLimiter {
    private let counts = Lock((asked: 0, atOnce: 0, isRefusing: false))

    var asked: Int { counts.withLock { $0.asked } }
    var atOnce: Int { counts.withLock { $0.atOnce } }
    func refuse() { counts.withLock { $0.isRefusing = true } }

    func take(_ rule: RateRule, by subject: String) -> RateDecision {
        counts.withLock { counts in
            counts.asked += 1
            return RateDecision(isAllowed: true, limit: 9, remaining: 8, resetMilliseconds: 1000)
        }
    }

    func takeAtOnce(_ rule: RateRule, by subject: String) -> RateDecision? {
        counts.withLock { counts in
            counts.atOnce += 1
            return RateDecision(
                isAllowed: !counts.isRefusing, limit: 9, remaining: 7, resetMilliseconds: 3000)
        }
    }
}

@Suite("Answers at once")
struct AtOnceTests {
    private let versions = ToldVersions()
    private let directory = ToldDirectory()
    private let limiter = WatchedLimiter()

    private func gateway() throws -> TestGateway {
        try TestGateway { parts, _ in
            (parts.follower, parts.limiter, parts.directory) = (versions, limiter, directory)
        }
    }

    @Test("What is known to be as new as the log is answered without asking anybody")
    func kept() throws {
        let gateway = try gateway()
        let made = try gateway.ask("POST", "/sessions", as: "olga", body: sessionBody())
        let id = try #require(made.json["session_id"]?.string)
        let asked = limiter.asked
        gateway.queries.set(.unreachable)
        for _ in 0..<3 {
            let read = try gateway.ask("GET", "/sessions/\(id)", as: "olga")
            #expect(read.status == 200)
            #expect(read.body == made.body)
            #expect(read[header: "ETag"] == made[header: "ETag"])
            #expect(read[header: "X-RateLimit-Remaining"] == "7")
            let tag = try #require(read[header: "ETag"])
            let same = try gateway.ask("GET", "/sessions/\(id)", as: "olga", ["If-None-Match: \(tag)"])
            #expect(same.status == 304)
        }
        #expect(limiter.asked == asked)
        #expect(limiter.atOnce == 6)
        #expect(gateway.queries.sessionQuestions == 0)
        // Who may not see it, sees nothing in this way either.
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "otto").status == 404)
        #expect(try gateway.ask("GET", "/sessions/\(id)?x=1", as: "olga").status == 422)
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "nobody").status == 401)
    }

    @Test("A request counts once, also where its answer has to be looked for")
    func countsOnce() throws {
        let gateway = try gateway()
        let id = try gateway.makeSession()
        versions.forget()
        let (asked, atOnce) = (limiter.asked, limiter.atOnce)
        #expect(try gateway.ask("GET", "/sessions/\(id)").status == 200)
        #expect(limiter.asked == asked)
        #expect(limiter.atOnce == atOnce + 1)
        limiter.refuse()
        let refused = try gateway.ask("GET", "/sessions/\(id)")
        #expect(refused.status == 429)
        #expect(refused[header: "Retry-After"] == "3")
    }

    @Test(
        "Whose a session is, is asked again each time: what is kept lets nobody see it who may not any more")
    func ownership() throws {
        let gateway = try gateway()
        let id = try gateway.makeSession(as: "olga")
        let facts = try #require(directory.facts(of: id))
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "olga").status == 200)
        // Somebody else's now, as another gateway has decided; the answer that is kept is none of it.
        var given = facts
        given.ownership = Ownership(owner: "otto", project: nil)
        given.version += 1
        directory.learn(given, of: id)
        let asked = gateway.queries.sessionQuestions
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "olga").status == 404)
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "otto").status == 200)
        #expect(gateway.queries.sessionQuestions == asked)
        // Where nothing is known any more, the session's history says it.
        directory.forget(id)
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "otto").status == 404)
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "olga").status == 200)
        directory.learn(given, of: id)
        directory.isCurrent = false
        #expect(try gateway.ask("GET", "/sessions/\(id)", as: "otto").status == 404)
    }

    @Test("What another gateway has changed is shown as soon as its event is known of")
    func changes() throws {
        let gateway = try gateway()
        let other = try TestGateway(beside: gateway)
        let id = try gateway.makeSession()
        #expect(try gateway.ask("GET", "/sessions/\(id)").json["name"]?.string == "a desk")
        #expect(try other.ask("PUT", "/sessions/\(id)", body: #"{"name":"another"}"#).status == 200)
        versions.note(2, of: id)
        #expect(try gateway.ask("GET", "/sessions/\(id)").json["name"]?.string == "another")
        #expect(try gateway.ask("DELETE", "/sessions/\(id)").status == 204)
        #expect(try gateway.ask("GET", "/sessions/\(id)").status == 404)
    }

    @Test("A list of chunks is kept until something happens to the session, each question apart")
    func lists() throws {
        let gateway = try gateway()
        let id = try gateway.makeSession()
        func count(_ query: String) throws -> Int? {
            try gateway.ask("GET", "/sessions/\(id)/chunks\(query)").json["chunks"]?.array?.count
        }
        #expect(try gateway.ask("POST", "/sessions/\(id)/start").status == 200)
        for number in 1...2 {
            #expect(try gateway.upload(sampleBytes(100), number, to: id, as: "admin").status == 201)
            let answers = ["", "?limit=1", "?limit=1&offset=1", "?status=stored"]
            let found = [number, 1, number - 1, 0]
            #expect(try answers.map { try count($0) } == found)
            let questions = gateway.queries.sessionQuestions
            gateway.queries.set(.unreachable)
            #expect(try answers.map { try count($0) } == found)
            #expect(gateway.queries.sessionQuestions == questions)
            gateway.queries.set(.current)
        }
        #expect(try gateway.ask("GET", "/sessions/\(id)/chunks", as: "otto").status == 404)
        #expect(try gateway.ask("GET", "/sessions/\(id)/chunks?limit=0").status == 422)
        #expect(try gateway.ask("POST", "/sessions/\(id)/stop").status == 200)
        #expect(try gateway.ask("DELETE", "/sessions/\(id)").status == 204)
        #expect(try gateway.ask("GET", "/sessions/\(id)/chunks").status == 404)
    }

    @Test("A shelf holds what its limit says, by weight")
    func shelf() {
        let shelf = SharedCache<Int, String>(limit: 20) { $0.utf8.count }
        for key in 0..<100 { shelf[key] = "12345" }
        #expect((0..<100).count { shelf[$0] != nil } <= 4)
        #expect(shelf[99] == "12345")
        // The same key again weighs no more, and what is removed nothing.
        for _ in 0..<100 { shelf[99] = "12345" }
        shelf[98] = "1234"
        #expect(shelf[99] == "12345" && shelf[98] == "1234")
        shelf[98] = nil
        #expect(shelf[98] == nil)
        shelf[1] = String(repeating: "x", count: 100)
        #expect(shelf[1]?.utf8.count == 100)
        shelf[2] = "1"
        shelf[3] = "12345678901"
        #expect(shelf[1] == nil)
    }
}

@Suite("Tokens that were checked")
struct KnownTokenTests {
    private let folder = NSTemporaryDirectory() + "known-tokens-" + UUID().uuidString
    private let clock = MovableClock()

    /// What is known of a token, where the keys have been looked at; that is due every second of the machine.
    private func known(
        _ token: String, _ authenticator: TokenAuthenticator, _ keys: KeyFolder
    ) -> Admission? {
        for _ in 0..<1000 {
            if !keys.isEmpty, let known = authenticator.knownAdmission(ofToken: token) { return known }
        }
        return nil
    }

    @Test("A token is known until it ends, the clock is set back, or the keys change")
    func life() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func mint(_ id: String) throws -> TokenMint {
            try TokenMint.opening(folder: folder, id: id, algorithm: .hs256, issuer: nil, audience: nil)
        }
        let token = try mint("k").token(
            subject: "ada", roles: ["admin"], lifetimeSeconds: 100, at: clock.now())
        let keys = try KeyFolder(path: folder)
        let authenticator = TokenAuthenticator(
            keys, TokenPolicy(leewaySeconds: 5), roles: Role.recording, clock: clock)
        #expect(known(token, authenticator, keys) == nil)
        let admission = try authenticator.admission(ofToken: token)
        #expect(admission.subject.id == "ada")
        #expect(known(token, authenticator, keys) == admission)
        #expect(known(token + "x", authenticator, keys) == nil)
        clock.move(seconds: 104)
        #expect(known(token, authenticator, keys) == admission)
        clock.move(seconds: 1)
        #expect(known(token, authenticator, keys) == nil)
        clock.move(seconds: -106)
        #expect(known(token, authenticator, keys) == nil)
        clock.move(seconds: 2)
        #expect(known(token, authenticator, keys) == admission)

        // Others' keys: the token has to be checked again, and is good.
        _ = try mint("other")
        keys.lookSoon()
        #expect(authenticator.knownAdmission(ofToken: token) == nil)
        #expect(known(token, authenticator, keys) == nil)
        #expect(try authenticator.admission(ofToken: token) == admission)
        #expect(known(token, authenticator, keys) == admission)

        // Its own key goes.
        unlink(folder + "/k.hs256")
        keys.lookSoon()
        #expect(known(token, authenticator, keys) == nil)
        #expect(throws: TokenRefusal.unknownKey) { try authenticator.admission(ofToken: token) }
        #expect(known(token, authenticator, keys) == nil)
    }
}
