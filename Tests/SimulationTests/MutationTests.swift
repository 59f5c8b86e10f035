import ChunkFiles
import Base
import EventSourcing
import Pipeline
import Recording
import Simulation
import Testing

/// A part that breaks a promise, and the seeds within which that has to be noticed.
struct Mutation: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var seeds = 300
    let vary: @Sendable (inout Variations) -> Void

    /// Servers that wake up late with what they had in hand of a stream, and senders who go to another one
    /// meanwhile.
    private static let crowdedStreams: @Sendable (inout FaultPlan) -> Void = {
        ($0.late, $0.freeze, $0.crash, $0.power, $0.poison) = (0.3, 0.01, 0, 0, 0)
        $0.faultySteps = 3000
    }

    static let all: [Mutation] = [
        Mutation(testDescription: "deliveries are acknowledged before the append") {
            $0.log = { HastyLog($0) }
        },
        Mutation(testDescription: "a late worker replaces the file that is there") {
            $0.stage = { stage, vault in
                BrokenStage(
                    stage,
                    before: { delivery in
                        guard stage.chain.last == .store,
                            case .chunk(let event)? = try? RecordingEvent(delivery.event)
                        else { return }
                        let chunk = event.chunk
                        _ = try? vault.chunks.remove(
                            session: chunk.sessionID, sequence: chunk.sequenceNumber)
                    })
            }
        },
        Mutation(testDescription: "documents are written without a guard on their version") {
            $0.database = { .unguarded }
            // Its writes are few among what all others do.
            $0.faults = { ($0.late, $0.faultySteps) = (0.3, 4000) }
        },
        Mutation(testDescription: "the ids of results are not derived from their cause") {
            $0.log = { log in
                let count = Lock(0)
                return ForgingLog(log) { batch in
                    for index in batch.events.indices where batch.events[index].type.hasPrefix("Chunk") {
                        batch.events[index].id += "/\(count.withLock { $0 += 1; return $0 })"
                    }
                }
            }
        },
        Mutation(testDescription: "decisions are appended whatever has happened since") {
            $0.log = { ForgingLog($0) { $0.expected = .any } }
            $0.faults = { $0.late = 0.3 }
        },
        Mutation(testDescription: "a full disk is taken for an end of the work") {
            $0.stage = { stage, _ in
                BrokenStage(stage, after: { if case .wait = $0 { .done([]) } else { $0 } })
            }
        },
        Mutation(testDescription: "an event is appended before the file is written") {
            $0.stage = { stage, vault in
                BrokenStage(
                    stage,
                    after: { outcome in
                        guard case .done(let events) = outcome, stage.chain.last == .store,
                            let stored = events.last
                        else { return outcome }
                        // As if the file were still to come.
                        let number = Int(stored.subject.suffix(6)) ?? 1
                        let session = String(stored.subject.dropLast("-chunk-000000".count))
                        _ = try? vault.chunks.remove(session: session, sequence: number)
                        return outcome
                    })
            }
        },
        Mutation(testDescription: "a stream's chunk is recorded wherever the recording ends") {
            $0.intakeLog = { HeedlessIntakeLog(inner: $0, broken: .recordsAnywhere) }
            $0.faults = crowdedStreams
        },
        Mutation(testDescription: "another sender's chunk is taken for one's own") {
            $0.intakeLog = { HeedlessIntakeLog(inner: $0, broken: .takesAnyForItsOwn) }
            $0.faults = crowdedStreams
        },
        Mutation(testDescription: "tries are counted anew by each process") {
            $0.log = { MisparkingLog($0, .countsForItself) }
        },
        Mutation(testDescription: "an event is set aside when it fails for the first time") {
            $0.log = { MisparkingLog($0, .countsAtOnce) }
        },
        Mutation(testDescription: "owners do not hear which sessions wait") {
            $0.log = { MisparkingLog($0, .forgetsWhatIsHeld) }
        },
        Mutation(testDescription: "a session that was tried again with success waits for ever") {
            $0.log = { MisparkingLog($0, .keepsWhatIsReleased) }
        },
        Mutation(testDescription: "files are not synchronized before the power is cut") {
            $0.promises.contents = false
        },
        Mutation(testDescription: "folders are not synchronized before the power is cut") {
            $0.promises.names = false
        },
        Mutation(testDescription: "the log acknowledges what it does not keep when the power is cut") {
            $0.promises.appends = false
        },
        Mutation(testDescription: "the database acknowledges what it does not keep when the power is cut") {
            $0.database = { .hasty }
        },
    ]
}

@Suite("The simulation finds what is broken", .serialized)
struct MutationTests {
    @Test("a broken part is found", arguments: Mutation.all)
    func found(_ mutation: Mutation) throws {
        var variations = Variations()
        mutation.vary(&variations)
        let runs = try Runs(
            from: 1, count: mutation.seeds, variations: variations, stopAtFirst: true)
        let sum = runs.sum
        let found = try #require(sum.bad.first, "not found in \(sum.done) seeds")
        print(
            "simulation: \(mutation.testDescription): found after \(sum.done) seeds: \(found.violations[0])")
    }
}
