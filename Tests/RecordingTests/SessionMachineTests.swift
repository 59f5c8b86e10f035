import Recording
import Testing

/// DESIGN 3.2, to the letter.
private let design = """
    created→starting|deleted; starting→recording|failed; recording→paused|stopped|failed; \
    paused→recording|stopped; stopped→processing|deleted; processing→completed|failed; \
    completed|failed→deleted
    """

/// From each state to its successors.
private let table: [String: Set<String>] = {
    var table: [String: Set<String>] = [:]
    for rule in design.split(separator: ";") {
        let sides = rule.split(separator: "→").map { side in
            side.split(separator: "|").map { String($0.filter { $0.isLetter }) }
        }
        guard sides.count == 2 else { continue }
        for from in sides[0] { table[from, default: []].formUnion(sides[1]) }
    }
    return table
}()

/// A command, and what it does to a session: from which states it leads to which one.
private struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let command: SessionCommand
    let from: Set<String>
    /// The state afterwards; nil when it stays as it is.
    let to: String?
    var testDescription: String { name }
}

private let living = Set(SessionStatus.allCases.map(\.rawValue)).subtracting(["deleted"])

private let cases: [Case] = [
    Case(
        name: "update", command: .update(SessionEvent.Updated(sessionID: History.sessionID)), from: living,
        to: nil),
    Case(name: "start", command: .start, from: ["created"], to: "starting"),
    Case(name: "begin", command: .begin, from: ["starting"], to: "recording"),
    Case(
        name: "record a chunk", command: .recordChunk(History.recorded(3)), from: ["recording"], to: nil),
    Case(name: "pause", command: .pause, from: ["recording"], to: "paused"),
    Case(name: "resume", command: .resume, from: ["paused"], to: "recording"),
    Case(
        name: "stop", command: .stop(.requested, incomplete: false), from: ["recording", "paused"],
        to: "stopped"),
    Case(name: "process", command: .process, from: ["stopped"], to: "processing"),
    Case(
        name: "complete", command: .complete(merkleRoot: History.hash(9)), from: ["processing"],
        to: "completed"),
    Case(
        name: "fail", command: .fail(error: "disk"), from: ["starting", "recording", "processing"],
        to: "failed"),
    Case(
        name: "delete", command: .delete(tagCounts: false),
        from: ["created", "stopped", "completed", "failed"], to: "deleted"),
    Case(
        name: "give up", command: .giveUp(error: "lost"), from: ["starting", "recording", "processing"],
        to: "failed"),
    Case(name: "hold", command: .hold(caseName: "A", reason: "r"), from: living, to: nil),
    Case(
        name: "keep damage that was found",
        command: .recordVerification(History.verified(.damaged, findings: ["missing"])), from: living, to: nil
    ),
    Case(name: "export the key", command: .exportKey(keyID: "key-1"), from: living, to: nil),
]

@Suite("The session's state machine")
struct SessionMachineTests {
    @Test("Every pair of states does what the design says", arguments: SessionStatus.allCases)
    func everyPair(from: SessionStatus) {
        for to in SessionStatus.allCases {
            let allowed = table[from.rawValue]?.contains(to.rawValue) ?? false
            #expect(from.canBecome(to) == allowed, "\(from) to \(to)")
        }
    }

    @Test("The commands lead exactly where the design has steps")
    func commandsCoverTheTable() {
        var reached: [String: Set<String>] = [:]
        for step in cases {
            guard let to = step.to else { continue }
            for from in step.from { reached[from, default: []].insert(to) }
        }
        #expect(reached == table)
    }

    @Test("Every state and command pair", arguments: cases)
    private func everyCommand(test: Case) throws {
        for status in SessionStatus.allCases {
            let history = try History.leading(to: status, chunks: 2)
            try #require(Specification.state(after: history).status == status)
            let spec = given(history).when(test.command)
            if status == .deleted {
                spec.thenRejected(.notFound)
            } else if test.from.contains(status.rawValue) {
                #expect(spec.state.status?.rawValue == test.to ?? status.rawValue, "\(status)")
                #expect(spec.state != Specification.state(after: history) || test.to == nil, "\(status)")
            } else {
                #expect(spec.state == Specification.state(after: history), "\(status)")
                spec.thenRejected(.wrongState(status, command: test.phrase))
            }
        }
        given([]).when(test.command).thenRejected(.notFound)
    }

    @Test("A session is made once, and its id is never free again")
    func creation() throws {
        given([]).when(.create(History.creation)).then(.session(.created(History.creation)))
        for status in SessionStatus.allCases {
            given(try History.leading(to: status)).when(.create(History.creation)).thenRejected(.exists)
        }
    }
}

extension Case {
    /// How the rejection names the command.
    fileprivate var phrase: String {
        switch name {
        case "begin": "begin recording"
        case "process": "be processed"
        case "complete": "be completed"
        case "delete": "be deleted"
        case "give up": "fail"
        default: name
        }
    }
}
