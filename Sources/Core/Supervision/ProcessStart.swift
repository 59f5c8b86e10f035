internal import CStart
import Glibc

/// How this process was started, from the C library and the kernel: `/proc`, which Swift itself asks, need
/// not be mounted.
package enum ProcessStart {
    /// The arguments behind the program's name; nil for one that is no UTF-8 text.
    package static var arguments: [String?] {
        (1..<max(1, reel_argument_count())).map { number in
            guard let argument = reel_argument(CInt(number)) else { return nil }
            return String(validatingCString: argument)
        }
    }

    /// Whether standard input, output or error (0, 1, 2) was closed. Something that can neither be read nor
    /// written is in its place, so that no other file gets its number.
    package static func wasClosed(_ descriptor: CInt) -> Bool { reel_was_closed(descriptor) != 0 }

    /// The absolute path of the program's file, links followed; nil when it is gone, or nobody says where it
    /// is. To be asked before anything changes the working folder.
    package static var programPath: String? {
        guard let executed = reel_executed_path(), let path = realpath(executed, nil) else { return nil }
        defer { free(path) }
        return String(validatingCString: path)
    }
}
