import Base
import EventSourcing
import Gateway
import Pipeline
import Recording
import SessionContent
import Supervision
import Sealing

/// The sessions' keys for handlers on many threads: each call borrows one thread's view.
///
/// `@unchecked`: a view is either in `free` or with exactly one call.
final class SharedSessionKeys: SessionKeyAccess, @unchecked Sendable {
    private final class Holder: @unchecked Sendable {
        let keys: SessionKeys
        init(_ keys: SessionKeys) { self.keys = keys }
    }

    private let vault: VaultAccess
    private let free = Lock<[Holder]>([])

    init(_ vault: VaultAccess) { self.vault = vault }

    func makeKey(forSession session: String, at time: Timestamp) throws -> SessionKey {
        try lend { try $0.make(forSession: session, at: time) }
    }

    func key(ofSession session: String) throws -> SessionKey {
        try lend { try $0.key(ofSession: session) }
    }

    private func lend(_ body: (SessionKeys) throws -> SessionKey) throws -> SessionKey {
        let holder = try free.withLock { $0.popLast() } ?? Holder(try vault.openKeys())
        defer { free.withLock { $0.append(holder) } }
        return try body(holder.keys)
    }
}
