import Base
import Glibc
import Supervision

/// Whoever read our standard output has closed it.
struct OutputClosed: Error {}

/// Standard output and standard error, written whole and unbuffered. Any thread may call.
enum Output {
    /// From now on writing to a closed pipe is an error like others, not the process's end.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    /// One line, or several, to standard output.
    static func line(_ text: String) throws { try write(Array(text.utf8) + [0x0A]) }

    /// JSON and a line end to standard output.
    static func line(_ json: JSONWriter) throws { try write(json.bytes + [0x0A]) }

    /// Bytes to standard output.
    static func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Bytes to standard output.
    static func write(_ bytes: UnsafeRawBufferPointer) throws {
        let code = put(bytes, to: STDOUT_FILENO)
        if code == EPIPE { throw OutputClosed() }
        if code != 0 { throw SystemFailure("write", "standard output", code: code) }
    }

    /// Whether whoever read standard output has closed it; so that a command that waits for something to
    /// print does not wait for ever.
    static var isClosed: Bool {
        var request = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return poll(&request, 1, 0) > 0 && request.revents & Int16(POLLERR) != 0
    }

    /// One line to standard error. Nobody can be told when that fails.
    static func error(_ text: String) {
        error(bytes: Array(text.utf8) + [0x0A])
    }

    /// Bytes to standard error, in one call, so that lines of several threads don't mix.
    static func error(bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { put($0, to: STDERR_FILENO) }
    }

    private static func put(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> CInt {
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(
                descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN {
                // Somebody who has it open, too, has made it so that it does not wait.
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&request, 1, -1)
                continue
            }
            if count < 0 { return errno }
            written += count
        }
        return 0
    }
}

/// What is known of the terminal behind a stream.
enum Terminal {
    enum Stream {
        case output, error

        var descriptor: CInt { self == .output ? STDOUT_FILENO : STDERR_FILENO }
    }

    /// Its width in characters; nil when the stream is no terminal.
    static func columns(of stream: Stream) -> Int? {
        guard isatty(stream.descriptor) == 1 else { return nil }
        var size = winsize()
        guard ioctl(stream.descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
