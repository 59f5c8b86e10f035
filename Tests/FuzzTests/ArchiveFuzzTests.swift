import Base
import EventSourcing
import Pipeline
import Testing

@testable import RedisLog
@testable import Sealing

/// A partition's archive of three segments, with word that each is genuine.
private final class Segments {
    let folder: ScratchFolder
    let store: FileSegmentStore
    let events: [RecordedEvent]
    private(set) var chain = SegmentChain(partition: 0)
    private(set) var names: [SegmentName] = []
    private(set) var files: [[UInt8]] = []
    private(set) var vouchers: [[UInt8]] = []
    static let part = ArchivePart(epoch: "e1", partition: 0)

    init(_ mutator: inout Mutator) throws {
        folder = try ScratchFolder()
        let ring = try KeyRing.open(folder: folder.path + "/keys")
        store = FileSegmentStore(root: folder.path + "/archive", ring: ring)
        var sequences: [String: UInt64] = [:]
        events = (1...30).map { number in
            let key = "sess-\(number % 4)"
            sequences[key, default: 0] += 1
            let text = String(decoding: mutator.bytes(mutator.below(30)).map { 97 + $0 % 26 }, as: UTF8.self)
            return RecordedEvent(
                event: ProposedEvent(
                    id: "\(key)/\(number)", type: "SessionStarted", version: 1, subject: key,
                    time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number)),
                    context: EventContext(source: "/reel/x", actor: .system("x")),
                    data: Array("{\"note\":\"\(text)\"}".utf8)),
                partitionKey: key, sequence: sequences[key] ?? 0,
                position: LogPosition(partition: 0, milliseconds: 1000 + UInt64(number), counter: 0))
        }
        var (after, previous) = (LogPosition.start(of: 0), "")
        var links: [SegmentLink] = []
        for part in [events[..<12], events[12..<13], events[13...]].map(Array.init) {
            let header = SegmentHeader(
                epoch: Self.part.epoch, after: after, first: part[0].position,
                last: part[part.count - 1].position, count: part.count,
                countBefore: links.last?.countThrough ?? 0, previousHash: previous)
            try store.write(
                header: header.json, index: SegmentIndex(of: part).encoded,
                payload: SegmentCoding.encode(part), as: header.name, in: Self.part)
            let (front, hash) = try store.readSealed(header.name, in: Self.part)
            try store.vouch(for: header.name, hash: hash, in: Self.part)
            links.append(SegmentLink(header, hash: hash, frontHash: front.hash))
            names.append(header.name)
            files.append(try #require(folder.get(path(header.name))))
            vouchers.append(try #require(folder.get(path(header.name) + ".vouched")))
            (after, previous) = (header.last, hash)
        }
        chain = SegmentChain(partition: 0, links)
    }

    func path(_ name: SegmentName) -> String { "archive/e1/\(LogPosition.partitionName(0))/\(name)" }

    func restore(_ number: Int) throws {
        try folder.put(files[number], at: path(names[number]))
        try folder.put(vouchers[number], at: path(names[number]) + ".vouched")
    }

    /// A segment that agrees with all of its own checksums, as somebody makes it who has no key.
    func forged(_ number: Int, _ mutator: inout Mutator) throws -> [UInt8] {
        var file = try ArchiveImage.decode(files[number], path: "").file
        let other = try ArchiveImage.decode(files[(number + 1) % files.count], path: "").file
        for _ in 0...mutator.below(2) {
            switch mutator.below(4) {
            case 0: file.header = mutator.mutate(file.header, other: other.header)
            case 1: file.index = mutator.mutate(file.index, other: other.index)
            default: file.payload = mutator.mutate(file.payload, other: other.payload)
            }
        }
        var image = try ArchiveImage.encode(file, level: 3)
        guard mutator.oneIn(4) else { return image }
        // Lengths and the frame too, the checksums made to fit.
        image = mutator.mutate(Array(image.dropLast(Digest.byteCount)), other: files[number])
        if let lengths = ArchiveImage.lengths(image), image.count >= lengths.front {
            let end = lengths.front - Digest.byteCount
            image.replaceSubrange(end..<lengths.front, with: SHA256.hash(Array(image[..<end])).bytes)
        }
        return image + SHA256.hash(image).bytes
    }

    /// What a reader gets, one of the ways to read.
    func read(_ way: Int) throws(LogFailure) -> [RecordedEvent] {
        let archive = Archive(store, epoch: Self.part.epoch)
        var chain = chain
        if way == 0 {
            // An archive whose chain the server does not keep: it is found by hashes, backwards.
            let anchor = chain.anchor
            chain = try archive.currentChain(of: 0) { _ in (anchor, []) }.chain
        }
        guard way < 2 else {
            var all: [RecordedEvent] = []
            for key in ["sess-0", "sess-1", "sess-2", "sess-3"] {
                all += try archive.reader().load(key, after: 0, in: chain, limit: 1000)
            }
            return all.sorted { $0.position < $1.position }
        }
        return try archive.reader().read(after: .start(of: 0), in: chain, limit: 1000)
    }
}

private let words = [
    "REELSEG1", "\"count\":", "\"count_before\":", "\"previous\":\"\"", "\"after\":\"0-0\"", "1001-0",
    "18446744073709551615-18446744073709551615", "9223372036854775807", "-1", "1e308", "sess-1", "e2", "{",
    "}",
    "\u{0}", "SessionCreated",
]

@Suite("Segments of the archive that were changed at random", .serialized)
struct ArchiveFuzzTests {
    @Test("give the events that were archived, or are refused, whoever recomputed their checksums")
    func segments() throws {
        let campaign = Campaign("archive")
        var maker = Mutator(seed: campaign.seed)
        let segments = try Segments(&maker)
        let marks = (0..<4).map { SegmentIndex.mark(of: "sess-\($0)") }
        try campaign.run { seed in
            var mutator = Mutator(seed: seed, dictionary: words)
            let number = mutator.below(segments.files.count)
            defer { try? segments.restore(number) }
            let original = segments.files[number]
            let other = segments.files[(number + 1) % segments.files.count]
            let isForged = mutator.oneIn(2)
            let file =
                try isForged ? segments.forged(number, &mutator) : mutator.mutate(original, other: other)
            let path = segments.path(segments.names[number])
            if mutator.oneIn(50) {
                try segments.folder.putSpecial(at: path, kind: mutator.below(3), bytes: original)
            } else {
                try segments.folder.put(file, at: path)
            }
            let isSame = file == original && !segments.folder.isSpecial(path)
            // What no chain vouches for is read by those who look for something to take back.
            if let stored = try? segments.store.read(segments.names[number], in: Segments.part) {
                _ = SegmentHeader(parsing: stored.header)
                if let index = SegmentIndex(stored.index) { for mark in marks { _ = index.range(mark) } }
                _ = SegmentCoding.decode(stored.payload, partition: 0)
                let isVouched = try segments.store.isVouched(
                    segments.names[number], hash: stored.hash, in: Segments.part)
                if isVouched == true, !isSame { return .wrong("a forged segment counts as vouched for") }
            }
            let events: [RecordedEvent]
            do throws(LogFailure) { events = try segments.read(mutator.below(3)) } catch {
                return isSame ? .wrong("what is sound is refused: \(error)") : .refused
            }
            guard events == segments.events else { return .wrong("other events come out than were archived") }
            return isSame ? .unchanged : .right
        }
    }

    @Test("are vouched for by nothing that was changed")
    func vouchers() throws {
        let campaign = Campaign("vouchers")
        var maker = Mutator(seed: campaign.seed)
        let segments = try Segments(&maker)
        let hash = segments.chain.links[0].hash
        try campaign.run { seed in
            var mutator = Mutator(seed: seed, dictionary: ["kek-", " ", "\n", "00", "ff", "../"])
            let original = segments.vouchers[0]
            let line = mutator.mutate(original, other: segments.vouchers[1])
            let path = segments.path(segments.names[0]) + ".vouched"
            defer { try? segments.restore(0) }
            if mutator.oneIn(50) {
                try segments.folder.putSpecial(at: path, kind: mutator.below(3), bytes: original)
            } else {
                try segments.folder.put(line, at: path)
            }
            let isSame = line == original && !segments.folder.isSpecial(path)
            let answer: Bool?
            do throws(SegmentFailure) {
                answer = try segments.store.isVouched(segments.names[0], hash: hash, in: Segments.part)
            } catch { return isSame ? .wrong("\(error)") : .refused }
            guard answer == true else { return isSame ? .wrong("genuine word is not believed") : .refused }
            return isSame ? .unchanged : .wrong("changed word is believed")
        }
    }
}
