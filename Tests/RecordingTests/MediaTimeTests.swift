import Base
import EventSourcing
import Recording
import Testing
import ReadModels

private let start = Timestamp(milliseconds: 1_769_903_998_000)

/// A session whose chunks say when they were captured, and how long they are. When its events happened is
/// another matter: all at once, hours later.
private struct Take {
    var fold: SessionFold
    private var chunks = 0

    init(source: CaptureConfig.Source = .stream, media: MediaFacts? = nil) throws {
        var creation = History.creation
        creation.capture.source = source
        creation.media = media
        fold = try #require(SessionFold(.session(.created(creation)), Self.stamp(1)))
    }

    private static func stamp(_ sequence: UInt64) -> EventStamp {
        EventStamp(
            time: start.advanced(byMilliseconds: 7_200_000), sequence: sequence, position: .start(of: 0))
    }

    mutating func take(_ fact: RecordingEvent) { fold.evolve(fact, Self.stamp(fold.version + 1)) }

    mutating func chunk(at seconds: Double, lasting length: Double, frames: Int = 0, bytes: Int = 100) {
        chunks += 1
        var chunk = History.recorded(chunks, bytes: bytes)
        chunk.capturedAt = start.advanced(byMilliseconds: Int64(seconds * 1000))
        chunk.durationSeconds = length
        chunk.frameCount = frames
        take(.chunk(.recorded(chunk)))
    }

    /// Active, paused and total seconds, and frames a second.
    var figures: [Double] {
        let shown = SessionStatisticsResponse(fold)
        return [
            Double(shown.activeSeconds), Double(shown.pausedSeconds), Double(shown.totalSeconds),
            shown.statistics.averageFPS,
        ]
    }
}

@Suite("Media time")
struct MediaTimeTests {
    @Test("ten minutes that are uploaded at once are ten minutes, at the rate that they were filmed at")
    func atOnce() throws {
        var take = try Take()
        for number in 0..<10 { take.chunk(at: Double(60 * number), lasting: 60, frames: 1800) }
        #expect(take.figures == [600, 0, 600, 30])
        #expect(take.fold.session.statistics.durationSeconds == 600)
        let shown = SessionStatisticsResponse(take.fold)
        #expect(shown.start == start && shown.end == start.advanced(byMilliseconds: 600_000))
        // An uploader that gives every chunk the same time says nothing about their order, and no less
        // about their length.
        take = try Take()
        for _ in 0..<10 { take.chunk(at: 0, lasting: 60, frames: 1800) }
        #expect(take.figures == [600, 0, 600, 30])
    }

    @Test("gaps are no part of what was recorded, and count as paused")
    func gaps() throws {
        var take = try Take()
        take.chunk(at: 0, lasting: 60, frames: 1800)
        take.chunk(at: 90.5, lasting: 29.5, frames: 885)
        #expect(take.figures[..<3] == [89, 31, 120])
        #expect(abs(take.figures[3] - 30) < 1e-9)
    }

    @Test("chunks that overlap count both, and chunks in another order than their numbers span the same")
    func overlaps() throws {
        var take = try Take()
        take.chunk(at: 0, lasting: 10)
        take.chunk(at: 5, lasting: 10)
        #expect(take.figures[..<3] == [20, 0, 20])
        take = try Take()
        take.chunk(at: 50, lasting: 10)
        take.chunk(at: 0, lasting: 10)
        #expect(take.figures[..<3] == [20, 40, 60])
        #expect(SessionStatisticsResponse(take.fold).start == start)
    }

    @Test("a chunk of unknown length lasts until the next one, unless the recording was paused meanwhile")
    func unknownLengths() throws {
        var take = try Take()
        for second in [0.0, 10, 20] { take.chunk(at: second, lasting: 0) }
        #expect(take.figures[..<3] == [20, 0, 20])
        take.take(.session(.paused(sessionID: History.sessionID)))
        take.take(.session(.resumed(sessionID: History.sessionID)))
        take.chunk(at: 100, lasting: 0)
        take.chunk(at: 103, lasting: 4)
        #expect(take.figures[..<3] == [27, 80, 107])
        // One that begins earlier tells nothing about the length of the one before it.
        take.chunk(at: 200, lasting: 0)
        take.chunk(at: 150, lasting: 1)
        #expect(take.figures[0] == 28)
    }

    @Test("while nothing is recorded, nothing has a length")
    func nothing() throws {
        var take = try Take()
        take.take(.session(.started(sessionID: History.sessionID, status: .recording)))
        #expect(take.figures == [0, 0, 0, 0])
    }

    @Test("the length of a film is the film's, however fast its file was read")
    func film() throws {
        var media = MediaFacts(container: "matroska,webm", sizeBytes: 1000, audio: true)
        media.durationSeconds = 600.5
        media.frameRate = 25
        media.frameCount = 15_012
        var take = try Take(source: .file, media: media)
        #expect(take.figures == [0, 0, 0, 0])
        take.chunk(at: 0, lasting: 0.01, bytes: 250)
        // A quarter of the file is recorded, and so much of the film.
        #expect(take.figures == [150, 0, 150, 25])
        #expect(take.fold.session.statistics.frameCount == 3753)
        take.chunk(at: 0.01, lasting: 0.01, bytes: 750)
        #expect(take.figures == [600, 0, 600, 25])
        #expect(take.fold.session.statistics.frameCount == 15_012)
        #expect(take.fold.session.media == media)
    }

    @Test("of a file that says nothing no length is known")
    func unknownFile() throws {
        var take = try Take(source: .file)
        take.chunk(at: 0, lasting: 3)
        take.chunk(at: 3, lasting: 3)
        #expect(take.figures == [0, 0, 0, 0])
        // Of a film without a length the rate is known at least.
        var media = MediaFacts(container: "matroska,webm", sizeBytes: 1000, audio: false)
        media.frameRate = 24
        take = try Take(source: .file, media: media)
        take.chunk(at: 0, lasting: 3)
        #expect(take.figures == [0, 0, 0, 24])
    }

    @Test("a fold that goes on from what was kept is the fold of everything", arguments: 0..<6)
    func kept(after count: Int) throws {
        let chunks: [(Double, Double)] = [(0, 0), (10, 5), (30, 0), (31, 0), (20, 1), (60, 2.5)]
        var whole = try Take()
        var parts = try Take()
        for (place, chunk) in chunks.enumerated() {
            whole.chunk(at: chunk.0, lasting: chunk.1)
            parts.chunk(at: chunk.0, lasting: chunk.1)
            if place == count {
                let fold = parts.fold
                parts.fold = try #require(
                    SessionFold(
                        session: fold.session, tally: fold.tally,
                        pipeline: PipelineFold(
                            kept: fold.pipeline.view, state: fold.pipeline.state,
                            chunkCount: fold.pipeline.chunkCount, frameCount: fold.pipeline.frameCount,
                            isClosed: fold.pipeline.isClosed)))
            }
        }
        #expect(parts.fold == whole.fold)
    }
}

@Suite("When a chunk may have been captured")
struct CaptureTimeTests {
    private let now = Timestamp(milliseconds: 1_795_219_200_000)

    private func judge(_ change: Int64) -> (refused: String?, said: String?) {
        let time = now.advanced(byMilliseconds: change)
        let (violation, remark) = (CaptureTime.violation(time, now: now), CaptureTime.remark(time, now: now))
        return (violation?.field, remark?.field)
    }

    @Test("from a day back to five minutes ahead is nothing to speak of")
    func usual() {
        for change: Int64 in [0, -1, -86_400_000, 300_000] { #expect(judge(change) == (nil, nil)) }
    }

    @Test("what was recorded long before is taken, and said", arguments: [-86_400_001, -8 * 86_400_000])
    func earlier(change: Int64) {
        #expect(judge(change) == (nil, "timestamp"))
        let remark = CaptureTime.remark(now.advanced(byMilliseconds: change), now: now)
        #expect(remark?.rule.contains("\(-change / 3_600_000) hours before") == true)
    }

    @Test("so is what is a little ahead", arguments: [300_001, 7_200_000, 86_400_000])
    func ahead(change: Int64) {
        #expect(judge(change) == (nil, "timestamp"))
        let remark = CaptureTime.remark(now.advanced(byMilliseconds: change), now: now)
        #expect(remark?.rule.contains("\(change / 60_000) minutes ahead") == true)
    }

    @Test("what has not come yet, or was before there were computers, is refused")
    func impossible() throws {
        for change: Int64 in [86_400_001, .min, .max, -now.milliseconds - 1] {
            #expect(judge(change).refused == "timestamp")
        }
        let rule = try #require(CaptureTime.violation(.latest, now: now)).rule
        #expect(rule.contains("24 hours") && rule.contains(now.rfc3339))
    }
}
