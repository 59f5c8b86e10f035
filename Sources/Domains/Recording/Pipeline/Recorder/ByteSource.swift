internal import Glibc
internal import Supervision

/// A source that could not be opened or read, or that was not whole.
package struct SourceFailure: Error, Sendable, CustomStringConvertible {
    /// What was being done.
    package var operation: String
    /// The source's name.
    package var source: String
    /// What the system said, or what was found.
    package var text: String
    /// Whether the caller named something that can't be recorded (no such file, a folder, an empty file).
    package var isBadInput: Bool
    package init(operation: String, source: String, text: String, isBadInput: Bool) {
        self.operation = operation
        self.source = source
        self.text = text
        self.isBadInput = isBadInput
    }

    /// Operation, source and text on one line.
    package var description: String { "\(operation) \(source): \(text)" }
}

/// The bytes that are recorded: a file or a stream such as standard input. One thread.
///
/// A file is what it is when it is opened: so many bytes are read of it, and not those that are appended
/// meanwhile. One that has fewer by then, or was changed before it was read, is not what was to be recorded:
/// the last `read` says so in place of its end.
package final class ByteSource {
    /// What it is called in messages.
    package let name: String
    /// Bytes in it; nil for a stream, which doesn't know.
    package let totalBytes: Int?
    /// The open file, for who looks into it without moving its offset; nil for a stream.
    package var file: Int32? { totalBytes == nil ? nil : descriptor }
    private let descriptor: Int32
    private let ownsDescriptor: Bool
    /// The file as of its opening.
    private let opened: stat
    private var position = 0
    /// The byte that `begin` took.
    private var first: UInt8?

    private init(name: String, descriptor: Int32, ownsDescriptor: Bool, _ info: stat, start: Int) {
        self.name = name
        totalBytes = Self.isFile(info) ? max(0, Int(info.st_size) - start) : nil
        opened = info
        self.descriptor = descriptor
        self.ownsDescriptor = ownsDescriptor
    }

    deinit {
        if ownsDescriptor { close(descriptor) }
    }

    private static func isFile(_ info: stat) -> Bool { info.st_mode & S_IFMT == S_IFREG }

    /// Standard input. Where that is a file, it is read from where it stands, as a file.
    package static func standardInput() -> ByteSource {
        var info = stat()
        if fstat(STDIN_FILENO, &info) != 0 { info = stat() }
        let start = isFile(info) ? Int(max(0, lseek(STDIN_FILENO, 0, SEEK_CUR))) : 0
        return ByteSource(
            name: "standard input", descriptor: STDIN_FILENO, ownsDescriptor: false, info, start: start)
    }

    /// A file; named pipes and devices are read as streams.
    package static func file(_ path: String) throws(SourceFailure) -> ByteSource {
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
        if info.st_mode & S_IFMT == S_IFDIR {
            close(descriptor)
            throw failure("it is a folder; name a file, or - for standard input", bad: true)
        }
        if isFile(info), info.st_size == 0 {
            close(descriptor)
            throw failure("the file is empty; there is nothing to record", bad: true)
        }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        return ByteSource(name: path, descriptor: descriptor, ownsDescriptor: true, info, start: 0)
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
    /// - Throws: what the system said; also where a file ends that had more, or is not what it was.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, waitMilliseconds: Int32
    ) throws(SourceFailure) -> Reading {
        if let byte = first, !buffer.isEmpty {
            buffer[0] = byte
            first = nil
            return .bytes(1)
        }
        let wanted = totalBytes.map { min(buffer.count, $0 - position) } ?? buffer.count
        if wanted == 0, let totalBytes {
            try requireUnchanged(totalBytes)
            return .end
        }
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&request, 1, waitMilliseconds)
        if ready == 0 || (ready < 0 && errno == EINTR) { return .nothingYet }
        let count = Glibc.read(descriptor, buffer.baseAddress, wanted)
        if count > 0 {
            position += count
            return .bytes(count)
        }
        if count == 0 {
            guard let totalBytes else { return .end }
            throw failure(
                "it had \(totalBytes) bytes when the recording began, and ended after \(position): it was "
                    + "cut off while it was read")
        }
        let code = errno
        if code == EINTR || code == EAGAIN { return .nothingYet }
        var problem = failure(String(cString: strerror(code)))
        problem.isBadInput = code == EBADF || code == EISDIR
        throw problem
    }

    /// A file that was written to while it was read may have been cut off and filled again, or be in two
    /// parts that never were one file. The time of writing can be put back by anybody, the time of change by
    /// nobody: it tells of that too, and of a new name or other rights, which nobody can tell from it.
    private func requireUnchanged(_ totalBytes: Int) throws(SourceFailure) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw failure(String(cString: strerror(errno))) }
        var changes: [String] = []
        if info.st_size != opened.st_size {
            changes.append("its size (from \(opened.st_size) to \(info.st_size) bytes)")
        }
        if !Self.isSame(info.st_mtim, opened.st_mtim) { changes.append("its time of writing (mtime)") }
        if !Self.isSame(info.st_ctim, opened.st_ctim) { changes.append("its time of change (ctime)") }
        guard !changes.isEmpty else { return }
        throw failure(
            "it was changed while it was read: \(changes.joined(separator: ", ")); of what it was when the "
                + "recording began, \(totalBytes) bytes, nobody can say what was recorded; what is still "
                + "being written can be recorded through a pipe")
    }

    private static func isSame(_ one: timespec, _ other: timespec) -> Bool {
        one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec
    }

    private func failure(_ text: String) -> SourceFailure {
        SourceFailure(operation: "read", source: name, text: text, isBadInput: false)
    }
}
