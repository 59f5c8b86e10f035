internal import Base

/// Chunks that a process had to refuse where the disk took no note of it: what it knows itself until the disk
/// does. A process that dies before that takes it along.
final class UntoldLosses: Sendable {
    private let numbers = Lock<[String: Int]>([:])

    /// A session lacks a chunk, and that could not be noted.
    func add(_ number: Int, of session: String) {
        numbers.withLock { $0[session] = max($0[session] ?? 0, number) }
    }

    /// The highest number that a session lacks.
    func number(of session: String) -> Int? { numbers.withLock { $0[session] } }

    /// Tries again to leave word of all of them. `note` throws where that is still not possible.
    func tell(_ note: (_ number: Int, _ session: String) throws -> Void) {
        for (session, number) in numbers.withLock({ $0 }) {
            guard (try? note(number, session)) != nil else { continue }
            // Another may have come meanwhile.
            numbers.withLock { if $0[session] == number { $0[session] = nil } }
        }
    }
}
