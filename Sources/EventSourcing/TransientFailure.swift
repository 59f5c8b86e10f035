/// A failure that knows whether the same call may succeed later without anyone changing anything.
public protocol TransientFailure: Error {
    /// Whether waiting may help.
    var isTransient: Bool { get }
}

extension LogFailure: TransientFailure {}
