import Console
import Supervision
import ChunkFiles
import Files

/// Says when a disk gets short and when it has room again. Recorders look for themselves; this is for
/// whoever reads the log.
struct DiskWatchService: Service {
    let name = "disk"
    private let system: OpenSystem
    private static let lookMilliseconds = 5_000

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        var last = DiskGuard.State.open
        var isBlind = false
        repeat {
            do throws(StorageFailure) {
                guard let room = try system.diskGuard.tightest() else { continue }
                if room.state > last {
                    system.report(.error, name, "\(DiskShortage(room))", [("state", room.state.rawValue)])
                } else if room.state < last {
                    let text = room.state == .open ? "there is room again" : "\(DiskShortage(room))"
                    system.report(.info, name, text, [("state", room.state.rawValue)])
                }
                last = room.state
                isBlind = false
            } catch {
                if !isBlind { system.report(.warning, name, "the disks cannot be looked at: \(error)") }
                isBlind = true
            }
        } while !stop.wait(milliseconds: Self.lookMilliseconds)
    }
}
