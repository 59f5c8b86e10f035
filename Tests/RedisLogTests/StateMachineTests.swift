import EventSourcing
import Simulation
import Testing

@testable import RedisLog

/// A book by reference: expectations may change it.
private final class Book {
    private var book = DeliveryRegistry()

    @discardableResult
    func offer(_ delivery: Delivery) -> Bool { book.offer(delivery) }
    func take(_ limit: Int, at now: Int) -> [Delivery] { book.take(limit, at: now) }
    func delay(_ delivery: Delivery, until due: Int) { book.delay(delivery, until: due) }
    func remove(_ position: LogPosition) { book.remove(position) }
    func available(at now: Int) -> Int { book.available(at: now) }
    var nextDue: Int? { book.nextDue }
    var waiting: [LogPosition] { book.waiting }
}

@Suite("State machines of a member")
struct StateMachineTests {
    private func delivery(_ number: UInt64, attempt: Int = 1) -> Delivery {
        Delivery(
            event: RecordedEvent(
                event: SampleEvents.event("e\(number)"), partitionKey: "s", sequence: number,
                position: LogPosition(partition: 0, milliseconds: number, counter: 0)), attempt: attempt)
    }

    @Test("what is known is not taken in twice, wherever it is; settled it may come again")
    func known() {
        let book = Book()
        let one = delivery(1)
        #expect(book.offer(one))
        #expect(!book.offer(one))
        #expect(book.take(5, at: 0) == [one])
        #expect(!book.offer(one))
        book.delay(one, until: 10)
        #expect(!book.offer(one))
        book.remove(one.event.position)
        #expect(book.take(5, at: 20).isEmpty)
        #expect(book.offer(one))
    }

    @Test("delayed deliveries come when due, before new ones, oldest first, with one attempt more")
    func delayed() {
        let book = Book()
        for number in 1...3 { book.offer(delivery(UInt64(number))) }
        let taken = book.take(2, at: 0)
        book.delay(taken[0], until: 20)
        book.delay(taken[1], until: 10)
        #expect(book.nextDue == 10)
        #expect(book.available(at: 9) == 1)
        #expect(book.available(at: 20) == 3)
        #expect(book.waiting.count == 3)
        #expect(book.take(2, at: 20) == [delivery(2, attempt: 2), delivery(1, attempt: 2)])
        #expect(book.waiting == [delivery(3).event.position])
        #expect(book.take(2, at: 20) == [delivery(3)])
        #expect(book.waiting.isEmpty)
    }

    @Test("what another member has taken over is forgotten, ready or delayed")
    func lost() {
        let book = Book()
        for number in 1...4 { book.offer(delivery(UInt64(number))) }
        let first = book.take(1, at: 0)[0]
        book.delay(first, until: 0)
        book.remove(delivery(1).event.position)
        book.remove(delivery(3).event.position)
        #expect(book.take(9, at: 5) == [delivery(2), delivery(4)])
    }

    @Test("random commands: every delivery is in one place, and none is lost")
    func property() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let book = Book()
        var held: [Delivery] = []
        var alive: Set<LogPosition> = []
        var next: UInt64 = 1
        for now in 0..<3000 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0, 1:
                book.offer(delivery(next))
                alive.insert(delivery(next).event.position)
                next += 1
            case 2:
                held += book.take(Int.random(in: 1...4, using: &generator), at: now)
            case 3 where !held.isEmpty:
                let delivery = held.remove(at: Int.random(in: 0..<held.count, using: &generator))
                book.delay(delivery, until: now + Int.random(in: 0..<50, using: &generator))
            case 4 where !held.isEmpty:
                let position = held.removeLast().event.position
                book.remove(position)
                alive.remove(position)
            default: break
            }
            #expect(Set(held.map(\.event.position) + book.waiting) == alive, "seed \(seed)")
            #expect(held.count + book.waiting.count == alive.count, "seed \(seed)")
        }
    }

    @Test("windows go round the ring; after an empty round the member waits for all partitions")
    func rotation() {
        var rotation = StreamRotation(partitions: 5)
        var read = rotation.next(room: 2)
        #expect(read == .window([0, 1], count: 1))
        rotation.finished(read, entries: 2)
        read = rotation.next(room: 2)
        #expect(read == .window([2, 3], count: 1))
        rotation.finished(read, entries: 0)
        read = rotation.next(room: 3)
        #expect(read == .window([4, 0, 1], count: 1))
        rotation.finished(read, entries: 0)
        #expect(rotation.isQuiet)
        read = rotation.next(room: 11)
        #expect(read == .wait([2, 3, 4, 0, 1], count: 2))
        rotation.finished(read, entries: 0)
        #expect(rotation.isQuiet)
        read = rotation.next(room: 1)
        #expect(read == .wait([3, 4, 0, 1, 2], count: 1))
        rotation.finished(read, entries: 1)
        #expect(!rotation.isQuiet)
        #expect(rotation.next(room: 100) == .window([4, 0, 1, 2, 3], count: 20))
    }

    @Test("a window never asks for more than there is room", arguments: [1, 2, 7, 16, 100, 1000])
    func rotationBound(room: Int) {
        for partitions in [1, 3, 16, 256] {
            guard
                case .window(let window, let count) = StreamRotation(partitions: partitions).next(room: room)
            else {
                Issue.record("a fresh rotation does not wait")
                continue
            }
            #expect(window.count * count <= room)
            #expect(Set(window).count == window.count)
        }
    }

    @Test("surveys come at their intervals, the rarer ones with them")
    func schedule() {
        var generator = SeededGenerator(seed: 7)
        var schedule = SurveySchedule(surveyMilliseconds: 100, processingMilliseconds: 6000)
        var counts = (orphans: 0, stalled: 0, names: 0)
        for now in 0..<30_000 {
            let due = schedule.due(at: now + 1, using: &generator)
            counts.orphans += due.orphans ? 1 : 0
            counts.stalled += due.stalled ? 1 : 0
            counts.names += due.names ? 1 : 0
        }
        #expect((240...400).contains(counts.orphans))
        #expect((24...30).contains(counts.stalled))
        #expect(counts.names == 3)
        schedule.again()
        let due = schedule.due(at: 30_001, using: &generator)
        #expect(due.orphans)
    }
}

@Suite("Addresses and words of the server")
struct AddressTests {
    @Test("URLs are read in all their forms")
    func urls() throws {
        let plain = try #require(RedisAddress("redis://localhost"))
        #expect((plain.host, plain.port, plain.database) == ("localhost", 6379, 0))
        let usual = try #require(RedisAddress("redis://us%3Aer:p%40ss%2F@h.example:7000/3?x=1"))
        #expect((usual.host, usual.port, usual.database) == ("h.example", 7000, 3))
        #expect((usual.user, usual.password) == ("us:er", "p@ss/"))
        #expect(usual.description == "h.example:7000/3")
        let six = try #require(RedisAddress("redis://:pw@[::1]:6380"))
        #expect((six.host, six.port, six.user, six.password) == ("::1", 6380, "", "pw"))
        #expect(six.description == "[::1]:6380")
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", "redis://", "http://host", "redis://host:0", "redis://host:65536", "redis://host:x",
            "redis://host/x", "redis://host/-1", "redis://[::1", "redis://[::1]x", "redis://u:%zz@host",
            "redis://u:%f@host", "redis://u:%ff@host",
        ])
    func badURLs(url: String) { #expect(RedisAddress(url) == nil) }

    @Test(
        "error replies are told apart",
        arguments: [
            ("LOADING Redis is loading the dataset in memory", LogFailure.Kind.loading),
            ("OOM command not allowed when used memory > 'maxmemory'.", .refusingWrites),
            (
                "ERR user_script:1: -OOM command not allowed when used memory > 'maxmemory'. script",
                .refusingWrites
            ),
            ("MISCONF Errors writing to the AOF file", .refusingWrites),
            ("READONLY You can't write against a read only replica.", .refusingWrites),
            ("NOGROUP No such consumer group", .noGroup),
            ("UNBLOCKED the stream key no longer exists", .noGroup),
            ("ERR Function not found", .functionMissing),
            ("WRONGTYPE Operation against a key", .corrupt),
            ("NOREPLICAS Not enough good replicas to write.", .refusingWrites),
            ("NOAUTH Authentication required.", .denied),
            ("WRONGPASS invalid username-password pair or user is disabled.", .denied),
            ("NOPERM this user has no permissions to run the 'info' command", .denied),
            (
                "ERR The user executing the script can't run this command or subcommand script: reel_trim",
                .denied
            ),
            (
                "ERR AUTH <password> called without any password configured for the default user. Are you "
                    + "sure your configuration is correct?", .denied
            ),
            ("ERR max number of clients reached", .unreachable),
            ("ERR unknown command 'FCALL', with args beginning with: ", .server),
            ("ERR DB index is out of range", .server),
            ("MOVED 3999 127.0.0.1:6381", .server), ("ERR something else", .server),
        ])
    func kinds(text: String, kind: LogFailure.Kind) {
        #expect(ServerError.failure(text, operation: "test", key: "k").kind == kind)
    }

    @Test(
        "a permission that is missing is named, as the rule that gives it",
        arguments: [
            ("NOPERM this user has no permissions to run the 'config|get' command", "+config|get"),
            ("NOPERM User reel has no permissions to run the 'xadd' command", "+xadd"),
            ("NOPERM this user has no permissions to access one of the keys used as arguments", "~reel:*"),
            ("NOPERM No permissions to access a key", "~reel:*"),
            ("REELDENIED zadd script: reel_append_all, on @user_function:4.", "+zadd"),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the "
                    + "command arguments script: x, on @user_script:1.", "~reel:*"
            ),
        ])
    func denials(text: String, rule: String) {
        let failure = ServerError.failure(text, operation: "test", key: "k")
        #expect(failure.kind == .denied)
        #expect(failure.text.contains("lacks the permission \(rule):"))
        #expect(failure.text.contains("ACL SETUSER"))
    }

    @Test("commands are counted and length-prefixed, whatever stands in them")
    func wireFormat() {
        var buffer = CommandBuffer()
        buffer.command("SET", "k\r\n", "")
        buffer.begin(2)
        buffer.add("GET")
        buffer.add([0, 255])
        #expect(
            buffer.bytes == Array(
                "*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$2\r\n".utf8)
                + [0, 255, 13, 10])
        #expect(buffer.count == 2)
        buffer.removeAll()
        buffer.begin(1)
        buffer.add(String(repeating: "x", count: 1234))
        #expect(String(decoding: buffer.bytes, as: UTF8.self).hasPrefix("*1\r\n$1234\r\nxxx"))
    }
}
