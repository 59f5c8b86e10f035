/// What can end a failure.
package enum Remedy: Sendable, Hashable {
    /// Time: the same call may succeed later without anyone changing anything.
    case time
    /// Whoever operates the servers: a password, a permission, a certificate, a setting, an address.
    /// Whatever runs without end waits for that, and says so; a command ends and says what to do.
    case operators
    /// Neither: the request, what is stored, or the program is wrong.
    case none
}

/// A failure that knows what can end it.
package protocol TransientFailure: Error {
    /// What can end it.
    var remedy: Remedy { get }
    /// Whether a write was refused because another member owns the partition now.
    var isFenced: Bool { get }
}

extension TransientFailure {
    /// Whether waiting may help.
    package var isTransient: Bool { remedy == .time }
    /// Most failures have nothing to do with ownership.
    package var isFenced: Bool { false }
}

extension Error {
    /// What can end it; nothing, where the failure does not say.
    package var knownRemedy: Remedy { (self as? any TransientFailure)?.remedy ?? .none }
    /// Whether time or an operator may end it: then it is the fault of no event that was being handled.
    package var mayEnd: Bool { knownRemedy != .none }
}

extension LogFailure: TransientFailure {
    /// Whether a fence did not hold.
    package var isFenced: Bool { kind == .fenced }
}
