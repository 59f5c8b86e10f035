/// A failure that knows whether the same call may succeed later without anyone changing anything.
public protocol TransientFailure: Error {
    /// Whether waiting may help.
    var isTransient: Bool { get }
    /// Whether a write was refused because another member owns the partition now.
    var isFenced: Bool { get }
}

extension TransientFailure {
    /// Most failures have nothing to do with ownership.
    public var isFenced: Bool { false }
}

extension LogFailure: TransientFailure {
    /// Whether a fence did not hold.
    public var isFenced: Bool { kind == .fenced }
}
