internal import ChunkFiles
import Base
import Console
import Glibc
import Pipeline
import Supervision

/// Removes from the chunk store, once after every start, what a killed predecessor was writing: a file gets
/// its name only when it is whole, so whatever still has a temporary one belongs to nobody. Removes from the
/// spool, now and then, what nobody needs there any more.
struct SweepService: Service {
    let name = "sweep"
    private let system: OpenSystem
    private let ownsChunkStore: Bool

    /// Files that others may be writing who share the chunk store are left alone for longer than any write
    /// takes.
    private static let sharedAgeSeconds = 600

    /// - Parameter ownsChunkStore: whether nobody but this process writes there.
    init(_ system: OpenSystem, ownsChunkStore: Bool) {
        self.system = system
        self.ownsChunkStore = ownsChunkStore
    }

    func run(stop: StopSignal) throws {
        let vault = try system.vault()
        let (chunks, spool) = (vault.chunks, vault.spool)
        // Whatever is older than this process's workers cannot be theirs.
        let sinceStart = time(nil) - Int(system.startedAt.milliseconds / 1000) + 1
        do {
            let age = ownsChunkStore ? sinceStart : Self.sharedAgeSeconds
            let files = try chunks.sweepTemporaries(olderThanSeconds: age)
            if files > 0 { system.report(.info, name, "removed unfinished files", [("files", "\(files)")]) }
        } catch {
            // They cost space, not truth: the next start tries again.
            system.report(.warning, name, "unfinished files could not be removed: \(error)")
        }
        try SpoolSweep(spool: spool, log: system.log, report: system.report.roles).run(stop: stop)
    }
}
