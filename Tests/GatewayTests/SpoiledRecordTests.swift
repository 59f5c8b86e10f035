import EventSourcing
import Gateway
import HTTPServer
import Recording
import Testing
import ReadModels
import APIKit

/// What the API says of a record that somebody has spoiled.
@Suite("Spoiled records")
struct SpoiledRecordTests {
    @Test("waiting does not help: 500, and no Retry-After")
    func ofTheRecord() {
        let failures: [any Error] = [
            LogFailure(.corrupt, operation: "load", key: "reel:{p001}:s:a", text: "it is odd"),
            LogFailure(
                .lostHistory, operation: "load", key: "a", text: "reel:{p001}:s:a is gone", isOfRecord: true),
            QueryFailure("reel.sessions: odd", isUnreachable: false, remedy: .none, isOfRecord: true),
        ]
        for failure in failures {
            let answer = ErrorAnswers.recording.answer(failure)
            #expect(answer.status == 500, "\(failure)")
            #expect(!answer.headers.contains { $0.name.lowercased() == "retry-after" }, "\(failure)")
        }
        #expect(ErrorAnswers.recording.answer(failures[0]).message.contains("reel:{p001}:s:a"))
    }

    @Test("a server that is away, and a partition that is halted, stay 503")
    func ofTheServer() {
        for kind in [LogFailure.Kind.unreachable, .timedOut, .lostHistory, .denied] {
            let failure = LogFailure(kind, operation: "load", key: "a", text: "away")
            #expect(ErrorAnswers.recording.answer(failure).status == 503, "\(kind)")
        }
    }
}
