import Operations
import Base
import RedisLog
import Console
import EventSourcing
import Glibc
import Pipeline
import Recording
import SessionContent
import Sealing

/// `reel keys export`: takes out a session's data key, and leaves that in the log.
enum KeysExportCommand: Command {
    static let declaration = CommandDeclaration(
        "keys", "export", summary: "Print a session's data key for an investigator",
        details: "With the key anyone can read the session's sealed files. A KeyExported event that names "
            + "you is durable in the log before the key is printed.",
        positionals: [Common.session],
        options: HoldOptions.purpose + [Common.json.declaration] + Common.places,
        examples: [
            "reel keys export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --json",
            "reel keys export sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --case 2026-117 --reason 'court order of 3 March'",
        ],
        statuses: [
            "1  there is no such session, or it has no key", Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let session = settings.positional(0) ?? ""
        let system = try RunningSystem(settings)
        let trail = CommandTrail(system.log)
        let resource = AuditResource(.key)
        let purpose = HoldOptions.purpose(settings)
        let (key, sequence) = try trail.recordingFailure(
            of: .keyExport, on: resource, session: session, for: purpose
        ) {
            try taken(session, system)
        }
        // Nobody gets a key before it stands in the log who took it.
        try trail.keep(
            .keyExport, on: AuditResource(.key, id: key.keyID), session: session, reason: purpose.reason,
            sessionSequence: sequence, caseName: purpose.caseName)
        try print(key, session, asJSON: settings[Common.json])
        return .success
    }

    /// The key, once the session's history says that it was taken out, and up to where it does.
    private static func taken(
        _ session: String, _ system: RunningSystem
    ) throws -> (key: SessionKey, sequence: UInt64) {
        let clock = SystemClock()
        let handler = CommandHandler(session: session, store: try system.log.open(), clock: clock)
        do {
            try handler.catchUp()
            guard handler.state.status != nil else { throw SessionRejection.notFound }
            let key = try system.vault().openKeys().key(ofSession: session)
            let context = EventContext(source: "/reel/cli", actor: CurrentUser.actor)
            let command = "\(session)/export-key/\(ULID.make(at: clock.now()))"
            try handler.handle(.exportKey(keyID: key.keyID), id: command, context: context)
            return (key, handler.version)
        } catch let error as CommandError<SessionRejection> {
            throw SessionErrors.plain(error, session)
        } catch SessionRejection.notFound {
            throw CommandFailure(.no, "there is no session \(session)")
        }
    }

    private static func print(_ key: SessionKey, _ session: String, asJSON: Bool) throws {
        try key.withDataKey { bytes in
            let text = Base64.encode(bytes)
            guard asJSON else {
                return try Output.line(
                    "session_id  \(session)\nkey_id      \(key.keyID)\ndata_key    \(text)")
            }
            var writer = JSONWriter()
            writer.object { json in
                json.member("session_id", session)
                json.member("key_id", key.keyID)
                json.member("data_key", text)
            }
            try Output.line(writer)
        }
    }
}

/// Errors of commands on sessions, as the caller sees them.
enum SessionErrors {
    static func plain(_ error: CommandError<SessionRejection>, _ session: String) -> any Error {
        switch error {
        case .rejected(.notFound): CommandFailure(.no, "there is no session \(session)")
        case .rejected(let rejection): CommandFailure(.no, "session \(session): \(rejection)")
        case .failed(let failure): failure
        case .malformed(let event): event
        }
    }
}

/// Base64 as in RFC 4648, section 4, with padding.
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | (offset < count ? UInt32(bytes[start + offset]) : 0) }
            for place in 0..<4 {
                out.append(place <= count ? alphabet[Int(group >> UInt32(18 - 6 * place)) & 63] : 0x3D)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
