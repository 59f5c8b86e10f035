import Glibc

/// The processors of the machine that this process runs on.
enum Processors {
    /// Processors that are online.
    static var online: Int { max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))) }
}
