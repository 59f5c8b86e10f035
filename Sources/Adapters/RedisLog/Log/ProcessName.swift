internal import Glibc

/// How other processes, and people, are told which one this is.
package enum ProcessName {
    /// Name of the machine; empty where it has none.
    package static let host: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }()

    /// Number of the process there.
    package static let pid: Int32 = getpid()
}
