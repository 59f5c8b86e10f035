internal import Base

extension AppendBatch {
    /// Checks the limits of the log; every store does so before it writes anything. Throws `invalid`.
    package func requireWithinLimits(_ partitioning: Partitioning) throws(LogFailure) {
        guard fence == nil || fence?.partition == partitioning.partition(of: partitionKey) else {
            throw refused("the fence is of another partition")
        }
        try requireWithinLimits()
    }

    /// Checks the limits that hold in every log. Throws `invalid`.
    package func requireWithinLimits() throws(LogFailure) {
        guard Self.isIdentifier(partitionKey) else { throw refused("the partition key is empty or too long") }
        guard (1...LogLimits.eventsPerAppend).contains(events.count) else {
            throw refused(
                "\(events.count) events in one append; 1...\(LogLimits.eventsPerAppend) are allowed")
        }
        for event in events {
            guard Self.isIdentifier(event.id) else { throw refused("an event id is empty or too long") }
            let name = String(event.id.prefix(80))
            guard Self.isIdentifier(event.type), event.version > 0 else {
                throw refused("\(name): type or version")
            }
            guard event.subject.utf8.count <= LogLimits.bytesPerIdentifier else {
                throw refused("\(name): the subject is longer than \(LogLimits.bytesPerIdentifier) bytes")
            }
            guard event.data.count <= LogLimits.bytesPerPayload else {
                throw refused("\(name): the payload is larger than \(LogLimits.bytesPerPayload) bytes")
            }
            guard event.data.first == 0x7B, event.data.last == 0x7D else {
                throw refused("\(name): the payload is not a JSON object")
            }
            guard (0...253_402_300_799_999).contains(event.time.milliseconds) else {
                throw refused("\(name): the time is outside the years 1970 to 9999")
            }
        }
    }

    private func refused(_ text: String) -> LogFailure {
        LogFailure(.invalid, operation: "append", key: String(partitionKey.prefix(80)), text: text)
    }

    private static func isIdentifier(_ text: String) -> Bool {
        (1...LogLimits.bytesPerIdentifier).contains(text.utf8.count)
    }
}
