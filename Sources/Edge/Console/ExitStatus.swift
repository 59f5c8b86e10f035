/// How a command ends.
package enum ExitStatus: Int32 {
    /// It was done.
    case success = 0
    /// The answer is no: a verification failed, or nothing was found by that name.
    case no = 1
    /// The command line or the configuration asks for what cannot be.
    case usage = 2
    /// Something that Reel depends on cannot be reached or used.
    case dependency = 3
    /// Interrupted by a signal; what was done until then is kept.
    case interrupted = 130
}
