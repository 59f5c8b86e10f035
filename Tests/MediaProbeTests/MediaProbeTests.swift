import Glibc
import Recording
import Testing

@testable import MediaProbe

@Suite("Looking into films")
struct MediaProbeTests {
    /// A sound of one second: a WAV file of 8,000 samples of a byte.
    private static func wave(says count: UInt32 = 8_000) -> [UInt8] {
        func number(_ value: UInt32, _ bytes: Int) -> [UInt8] {
            (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
        }
        return Array("RIFF".utf8) + number(36 &+ count, 4) + Array("WAVEfmt ".utf8) + number(16, 4)
            + number(1, 2) + number(1, 2) + number(8_000, 4) + number(8_000, 4) + number(1, 2) + number(8, 2)
            + Array("data".utf8) + number(count, 4) + (0..<8_000).map { UInt8(truncatingIfNeeded: $0) }
    }

    /// An open file that has no name.
    private static func file(_ bytes: [UInt8]) throws -> Int32 {
        var name = Array("/tmp/reel-film-XXXXXX".utf8CString)
        let descriptor = mkstemp(&name)
        try #require(descriptor >= 0)
        unlink(name)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        return descriptor
    }

    @Test("what a file says of itself is read, and its offset stays where it was")
    func facts() throws {
        let bytes = Self.wave()
        let film = try Self.file(bytes)
        defer { close(film) }
        lseek(film, 5, SEEK_SET)
        let reader = try #require(FilmReader(), "libavformat is not installed")
        let facts = try #require(reader.read(film, size: Int64(bytes.count)))
        #expect(facts.container == "wav")
        #expect(facts.audio)
        #expect(facts.sizeBytes == bytes.count)
        #expect(facts.durationSeconds == 1)
        #expect((facts.width, facts.height, facts.frameRate, facts.frameCount) == (nil, nil, nil, nil))
        #expect(lseek(film, 0, SEEK_CUR) == 5)
    }

    @Test("a file that is no film has no facts", arguments: [0, 1, 40, 5_000])
    func none(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 / 251) }
        let film = try Self.file(bytes)
        defer { close(film) }
        let reader = try #require(FilmReader(), "libavformat is not installed")
        #expect(reader.read(film, size: Int64(count)) == nil)
    }

    @Test("a file that is cut off, or says it is longer than it is, has facts within bounds or none")
    func broken() throws {
        let reader = try #require(FilmReader(), "libavformat is not installed")
        let whole = Self.wave()
        let cut = (0..<60).map { Array(whole.prefix($0)) }
        for bytes in [Self.wave(says: .max), Self.wave(says: 0)] + cut {
            let film = try Self.file(bytes)
            defer { close(film) }
            guard let facts = reader.read(film, size: Int64(bytes.count)) else { continue }
            #expect(facts.violations.isEmpty, "\(bytes.count) bytes: \(facts)")
        }
    }

    @Test("who reads a stranger's bytes opens nothing, connects to nothing, starts and signals nobody")
    func confined() async {
        await #expect(processExitsWith: .exitCode(0)) {
            guard MediaProbe.confine() else { _exit(100) }
            var child: pid_t = 0
            let tries: [Int32] = [
                open("/dev/null", O_RDONLY), socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0),
                socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), mkdir("/tmp/x", 0), dup(0),
                kill(getpid(), 0), unlink("/nowhere"), chdir("/"),
                posix_spawn(&child, "/bin/true", nil, nil, [nil], nil) == 0 ? 0 : -1,
            ]
            for (place, answer) in tries.enumerated() where answer >= 0 { _exit(Int32(place) + 1) }
            _exit(0)
        }
    }
}
