import Glibc

/// The machine that this process runs on.
enum Machine {
    /// Processors that are online.
    static var cores: Int { max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))) }
}
