internal import EventSourcing
internal import Glibc
internal import Recording
internal import Vault

/// Looks at every append at the moment it takes effect: what an event tells must be on the disk by then.
///
/// Sendable because whoever touches it has the turn.
final class Witness: AppendWitness, @unchecked Sendable {
    /// What was broken.
    var violations: [String] = []
    /// The file of each stored chunk: its leaf hash and the file's number on the disk.
    private(set) var files: [String: (hash: String, number: UInt)] = [:]
    private let root: String

    init(root: String) { self.root = root }

    func appending(_ batches: [AppendBatch], _ process: SimulatedProcess) {
        if process.isDead { violations.append("\(process.instance) appends after its death") }
    }

    func appended(_ batches: [AppendBatch], _ outcomes: [AppendOutcome]) {
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
