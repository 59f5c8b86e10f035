internal import Glibc
internal import Supervision

/// A source that could not be opened or read.
public struct SourceFailure: Error, Sendable, CustomStringConvertible {
    /// What was being done.
    public var operation: String
    /// The source's name.
    public var source: String
    /// What the system said.
    public var text: String
    /// Whether the caller named something that can't be recorded (no such file, a folder, an empty file).
    public var isBadInput: Bool

    /// Operation, source and text on one line.
    public var description: String { "\(operation) \(source): \(text)" }
}

/// The bytes that are recorded: a file or a stream such as standard input. One thread.
public final class ByteSource {
    /// What it is called in messages.
    public let name: String
    /// Bytes in it; nil for a stream, which doesn't know.
    public let totalBytes: Int?
    /// The open file, for who looks into it without moving its offset; nil for a stream.
    public var file: Int32? { totalBytes == nil ? nil : descriptor }
    private let descriptor: Int32
    private let ownsDescriptor: Bool
    /// The byte that `begin` took.
    private var first: UInt8?

    private init(name: String, totalBytes: Int?, descriptor: Int32, ownsDescriptor: Bool) {
        self.name = name
        self.totalBytes = totalBytes
        self.descriptor = descriptor
        self.ownsDescriptor = ownsDescriptor
    }

    deinit {
        if ownsDescriptor { close(descriptor) }
    }

    /// Standard input.
    public static func standardInput() -> ByteSource {
        ByteSource(name: "standard input", totalBytes: nil, descriptor: STDIN_FILENO, ownsDescriptor: false)
    }

    /// A file; named pipes and devices are read as streams.
    public static func file(_ path: String) throws(SourceFailure) -> ByteSource {
        func failure(_ text: String, bad: Bool) -> SourceFailure {
            SourceFailure(operation: "open", source: path, text: text, isBadInput: bad)
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let code = errno
            throw failure(String(cString: strerror(code)), bad: [ENOENT, EACCES, ENOTDIR].contains(code))
        }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else {
            let code = errno
            close(descriptor)
            throw failure(String(cString: strerror(code)), bad: false)
        }
        let kind = info.st_mode & S_IFMT
        if kind == S_IFDIR {
            close(descriptor)
            throw failure("it is a folder; name a file, or - for standard input", bad: true)
        }
        if kind == S_IFREG, info.st_size == 0 {
            close(descriptor)
            throw failure("the file is empty; there is nothing to record", bad: true)
        }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        return ByteSource(
            name: path, totalBytes: kind == S_IFREG ? Int(info.st_size) : nil, descriptor: descriptor,
            ownsDescriptor: true)
    }

    /// Waits for the first byte, so that nothing is made for a source that brings none.
    /// - Returns: false when `stop` was set before it came.
    /// - Throws: bad input when the source ends without a byte.
    func begin(stop: StopSignal) throws(SourceFailure) -> Bool {
        var byte: UInt8 = 0
        while !stop.isSet {
            let reading = try withUnsafeMutableBytes(of: &byte) { target throws(SourceFailure) in
                try read(into: target, waitMilliseconds: 200)
            }
            switch reading {
            case .bytes:
                first = byte
                return true
            case .end:
                throw SourceFailure(
                    operation: "read", source: name, text: "no byte came; there is nothing to record",
                    isBadInput: true)
            case .nothingYet: continue
            }
        }
        return false
    }

    /// What a read brought.
    enum Reading {
        case bytes(Int)
        case end
        case nothingYet
    }

    /// Reads what is there, waiting at most `milliseconds` for the first byte.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, waitMilliseconds: Int32
    ) throws(SourceFailure) -> Reading {
        if let byte = first, !buffer.isEmpty {
            buffer[0] = byte
            first = nil
            return .bytes(1)
        }
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&request, 1, waitMilliseconds)
        if ready == 0 || (ready < 0 && errno == EINTR) { return .nothingYet }
        let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        let code = errno
        if code == EINTR || code == EAGAIN { return .nothingYet }
        throw SourceFailure(
            operation: "read", source: name, text: String(cString: strerror(code)),
            isBadInput: code == EBADF || code == EISDIR)
    }
}
