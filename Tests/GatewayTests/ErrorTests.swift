import APIKit
import Base
import EventSourcing
import Gateway
import Recording
import Testing

private let time = Timestamp(milliseconds: 1_767_225_600_123)

private func json(_ write: (inout JSONWriter) -> Void) throws -> JSONValue {
    var writer = JSONWriter()
    write(&writer)
    return try JSONValue(parsing: writer.bytes)
}

private func names(_ value: JSONValue?) -> [String] { value?.members?.map(\.name) ?? [] }

@Suite("Errors, health and limits of the services")
struct ErrorTests {
    @Test("Codes have their numbers, statuses and categories")
    func codes() {
        let codes = (ErrorCode.general + ErrorCode.recording).sorted { $0.number < $1.number }
        #expect(codes.map(\.number) == Array(3001...3015))
        let statuses = [404, 422, 409, 409, 404, 409, 507, 500, 500, 429, 401, 403, 413, 400, 503]
        #expect(codes.map(\.status) == statuses)
        #expect(ErrorCode.rateLimit.category == .temporary && ErrorCode.notAllowed.category == .adminRequired)
        #expect(ErrorInfo(.dependencyUnavailable, "away").category == .temporary)
        #expect(ErrorInfo(.dependencyUnavailable, "not right", status: 500).category == .adminRequired)
    }

    @Test("An error has the seed's form and bounds")
    func error() throws {
        let long = String(repeating: "ä", count: 600)
        let info = ErrorInfo(
            .rateLimit, long, violations: [Violation("a.b", "is bad")], retryAfter: 7)
        let shown = try json { info.encode(into: &$0, requestID: long, at: time) }
        let error = try #require(shown["error"])
        #expect(names(error) == ["code", "message", "details", "request_id", "timestamp"])
        #expect(error["code"]?.string == "REEL_ERR_3010")
        #expect(error["message"]?.string?.count == 500 && error["request_id"]?.string == long)
        #expect(error["details"]?["category"]?.string == "temporary")
        #expect(error["details"]?["violations"]?.array?.first?["field"]?.string == "a.b")
        #expect(error["details"]?["retry_after_seconds"]?.integer == 7)
        let least = try json { ErrorInfo(.storage, "").encode(into: &$0, requestID: "", at: time) }
        #expect(least["error"]?["message"]?.string == "REEL_ERR_3007")
        #expect(least["error"]?["request_id"]?.string?.isEmpty == false)
    }

    @Test("Every rejection has its code and status")
    func rejections() {
        let cases: [(SessionRejection, ErrorCode, Int)] = [
            (.notFound, .sessionNotFound, 404), (.exists, .existsAlready, 409),
            (.wrongState(.paused, command: "start"), .wrongState, 409),
            (.invalid([Violation("a", "b")]), .invalidConfiguration, 422),
            (.wrongPipelineState(.active, trigger: .start, session: .paused), .pipeline, 409),
            (.changedMeanwhile, .wrongState, 412), (.chunkTaken(number: 1), .existsAlready, 409),
            (.outOfOrder(expected: 1, got: 2), .wrongState, 409),
            (.unfinished(stored: 1, of: 2), .wrongState, 409),
        ]
        for (rejection, code, status) in cases {
            let info = ErrorInfo(rejection)
            #expect(info.code == code && info.status == status, "\(rejection)")
            #expect(!rejection.description.isEmpty)
        }
        #expect(ErrorInfo(RequestFailure.tooLarge(bytes: 2, most: 1)).status == 413)
        for rejection: SessionRejection in [
            .held(cases: ["A"], command: "be deleted"), .notHeld(caseName: nil), .tooManyHolds,
        ] {
            #expect(ErrorInfo(rejection).code == .wrongState && ErrorInfo(rejection).status == 409)
        }
        #expect(ErrorInfo(.severalHolds(cases: ["A", "B"])).violations.map(\.field) == ["case"])
    }

    @Test("Health is that of the worst part")
    func health() throws {
        var health = HealthResponse(timestamp: time)
        #expect(health.status == .healthy)
        health.services["projector"] = ServiceHealth(.degraded, at: time, errorMessage: "behind")
        health.database["redis"] = ServiceHealth(.healthy, at: time, response_ms: 0.5)
        #expect(health.status == .degraded)
        health.storage["chunks"] = ServiceHealth(.unhealthy, at: time)
        #expect(health.status == .unhealthy)
        let shown = try json { health.encode(into: &$0) }
        #expect(names(shown) == ["status", "timestamp", "services", "database", "storage"])
        let redis = shown["database"]?["redis"]
        #expect(names(redis) == ["status", "last_check", "response_time_ms", "error_message"])
        #expect(HealthStatus.worst(of: [.unhealthy, .degraded, .healthy]) == .unhealthy)
    }

    @Test("the usual limits are the published ones, and bounds hold")
    func limits() {
        var limits = RateLimits()
        let published: [RateClass: Int] = [
            .create: 10, .status: 100, .chunks: 1000, .bulk: 5, .update: 50, .delete: 5, .pipeline: 20,
            .statistics: 60,
        ]
        for (kind, limit) in published {
            #expect(limits.rule(kind) == RateRule(name: kind.rawValue, limit: limit))
        }
        limits[.create] = 0
        #expect(limits[.create] == 1)
        limits[.create] = 20_000_000
        #expect(limits[.create] == 10_000_000)
        #expect(RateClass.create.variable == "REEL_RATE_CREATE")
    }
}
