internal import EventSourcing

/// What an append must keep to, checked before anything is sent.
enum AppendRules {
    static func check(_ batch: AppendBatch) throws(LogFailure) {
        func refuse(_ text: String) -> LogFailure {
            LogFailure(.invalid, operation: "append", key: String(batch.partitionKey.prefix(80)), text: text)
        }
        guard isIdentifier(batch.partitionKey) else { throw refuse("the partition key is empty or too long") }
        guard (1...LogLimits.eventsPerAppend).contains(batch.events.count) else {
            throw refuse(
                "\(batch.events.count) events in one append; 1...\(LogLimits.eventsPerAppend) are allowed")
        }
        for event in batch.events {
            guard isIdentifier(event.id) else { throw refuse("an event id is empty or too long") }
            let name = String(event.id.prefix(80))
            guard isIdentifier(event.type), event.version > 0 else {
                throw refuse("\(name): type or version")
            }
            guard event.subject.utf8.count <= LogLimits.bytesPerIdentifier else {
                throw refuse("\(name): the subject is longer than \(LogLimits.bytesPerIdentifier) bytes")
            }
            guard event.data.count <= LogLimits.bytesPerPayload else {
                throw refuse("\(name): the payload is larger than \(LogLimits.bytesPerPayload) bytes")
            }
            guard event.data.first == 0x7B, event.data.last == 0x7D else {
                throw refuse("\(name): the payload is not a JSON object")
            }
            guard (0...253_402_300_799_999).contains(event.time.milliseconds) else {
                throw refuse("\(name): the time is outside the years 1970 to 9999")
            }
        }
    }

    private static func isIdentifier(_ text: String) -> Bool {
        (1...LogLimits.bytesPerIdentifier).contains(text.utf8.count)
    }
}
