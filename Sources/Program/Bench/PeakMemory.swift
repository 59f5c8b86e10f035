internal import Supervision
internal import Base
internal import Glibc

/// The most memory that this process had resident, as the kernel counts it.
package enum PeakMemory {
    /// Bytes. Where /proc does not tell, the peak since the process began.
    package static var bytes: Int? {
        if let bytes = figure("VmHWM", of: "self") { return bytes }
        var usage = rusage()
        return getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 ? usage.ru_maxrss * 1024 : nil
    }

    /// A process's figure of memory in bytes; nil where /proc does not tell.
    package static func figure(_ name: String, of process: String) -> Int? {
        guard let text = try? FileText.read("/proc/\(process)/status") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("\(name):") {
            let digits = line.drop { !$0.isNumber }.prefix { $0.isNumber }
            return Int(digits).map { $0 *| 1024 }
        }
        return nil
    }

    /// Begins to count anew from what is resident now. Where the kernel doesn't let us, the peak stays that
    /// of the whole process.
    static func reset() {
        let file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        _ = write(file, "5", 1)
    }
}
