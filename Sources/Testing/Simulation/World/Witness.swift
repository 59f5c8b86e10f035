internal import Engine
internal import Base
internal import EventSourcing
internal import Glibc
internal import Pipeline
internal import Recording
internal import Files
internal import Sealing

/// Looks at every append at the moment it takes effect: what an event tells must be on the disk by then.
///
/// Sendable because whoever touches it has the turn.
final class Witness: @unchecked Sendable {
    /// What was broken.
    var violations: [String] = []
    /// The file of each stored chunk: its leaf hash and the file's number on the disk.
    private(set) var files: [String: (hash: String, number: UInt)] = [:]
    private let root: String
    private let log: InMemoryEventLog
    private let poison: Poison
    /// Tries of an event that were counted since it was last set aside.
    private var tries: [Place: Int] = [:]

    /// Carries out a call of the log that may be gone with the power before anybody was answered; `body`
    /// answers whether it stayed.
    func seeing(_ body: () -> Bool) {
        let before = tries
        if !body() { tries = before }
    }

    private struct Place: Hashable {
        var name: String
        var position: LogPosition
    }

    init(root: String, log: InMemoryEventLog, poison: Poison) {
        self.root = root
        self.log = log
        self.poison = poison
    }

    func counted(_ name: String, _ position: LogPosition) {
        tries[Place(name: name, position: position), default: 0] += 1
    }

    /// An event is set aside after as many tries as were counted by all processes together, and never one
    /// that would have worked.
    func parked(_ name: String, _ position: LogPosition, _ reason: ParkedReason) {
        let counted = tries.removeValue(forKey: Place(name: name, position: position)) ?? 0
        // One that fails in a retry, or kills whoever touches it, is set aside without being counted.
        if counted == 0, reason.attempts == 1 || reason.attempts > RetryPolicy().maximumDeliveries { return }
        if reason.attempts < RetryPolicy().maximumTries || reason.attempts > counted {
            violations.append(
                "\(name) sets \(position) aside after \(reason.attempts) tries, \(counted) were counted")
        }
    }

    func appended(_ batches: [AppendBatch], _ outcomes: [AppendOutcome], _ process: SimulatedProcess) {
        if process.isDead { violations.append("\(process.instance) appends after its death") }
        for (batch, outcome) in zip(batches, outcomes) {
            guard case .appended(let answers) = outcome else { continue }
            for (event, answer) in zip(batch.events, answers) where !answer.wasPresent {
                look(
                    RecordedEvent(
                        event: event, partitionKey: batch.partitionKey, sequence: answer.sequence,
                        position: answer.position))
            }
        }
    }

    private func look(_ event: RecordedEvent) {
        do {
            switch try RecordingEvent(event) {
            case .chunk(.recorded(let recorded)):
                let size = Self.size("\(root)/spool/\(recorded.spoolPath)")
                if size != recorded.content.sizeBytes {
                    violations.append(
                        "\(event.id) is in the log, its file has \(size.map(String.init) ?? "no") bytes")
                }
            case .chunk(.stored(let stored)):
                let path = "\(root)/chunks/\(stored.path ?? "")"
                let found = Self.leafHash(path)
                if found != stored.merkleHash {
                    violations.append(
                        "\(event.id) says \(stored.merkleHash), the file is \(found ?? "absent")")
                }
                files[path] = (stored.merkleHash, Self.number(path) ?? 0)
            default: break
            }
        } catch { violations.append("\(event.id) cannot be read: \(error)") }
    }

    /// Whether the files are still those that the log was told of.
    func checkFiles() {
        for (path, file) in files.sorted(by: { $0.key < $1.key }) {
            if Self.leafHash(path) != file.hash { violations.append("\(path) is not what was stored") }
            if Self.number(path) != file.number { violations.append("\(path) was replaced") }
        }
    }

    private static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    private static func number(_ path: String) -> UInt? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt(status.st_ino) : nil
    }

    private static func leafHash(_ path: String) -> String? {
        FileCalls.$watcher.withValue(nil) {
            do throws(StorageFailure) { return try LeafHasher().hash(fileAt: path).hash.hex } catch {
                return nil
            }
        }
    }
}
