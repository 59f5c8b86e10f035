import Operations
import Base
import Console
import MongoViews
import Recording
import RedisLog
import Supervision
import Sealing

/// `reel keys check`: whether every session's key can be had.
enum KeysCheckCommand: Command {
    static let declaration = CommandDeclaration(
        "keys", "check", summary: "Check that every session's data key can be had",
        details: "Compares what is recorded with the wrapped keys in the vault's database, and unwraps each "
            + "with its key-encryption key. Names keys that are gone, that were replaced, that do not unwrap, "
            + "and whose key-encryption key is gone. The running system does the same in the background.",
        options: [Common.json.declaration] + Common.places,
        examples: ["reel keys check", "reel keys check --json"],
        statuses: ["1  keys are missing", Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        var sweep = try RunningSystem(settings).keySweep()
        while try sweep.next() {}
        if settings[Common.json] {
            try Output.line(json(sweep))
        } else {
            for finding in sweep.findings { try Output.line("\(finding)") }
            let missing = sweep.findings.count
            try Output.line(
                missing == 0
                    ? "the keys of \(Quantity.grouped(sweep.sessions)) sessions are there and unwrap"
                    : "\(Quantity.grouped(missing)) of \(Quantity.grouped(sweep.sessions)) keys are missing")
        }
        return sweep.findings.isEmpty ? .success : .no
    }

    private static func json(_ sweep: KeySweep) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("sessions", sweep.sessions)
            json.key("findings")
            json.array { list in
                for finding in sweep.findings {
                    list.object { json in
                        json.member("session_id", finding.sessionID)
                        json.key("key_id")
                        if let keyID = finding.keyID { json.value(keyID) } else { json.null() }
                        json.member("kind", finding.kind.rawValue)
                        json.member("text", finding.description)
                    }
                }
            }
        }
        return writer
    }
}

/// `reel keys init`: makes a first key-encryption key where the ones before are lost.
enum KeysInitCommand: Command {
    static let acceptLoss = Flag(
        "accept-loss", help: "Make a key although data keys may be wrapped by others that are lost")

    static let declaration = CommandDeclaration(
        "keys", "init", summary: "Make a key-encryption key in an empty folder, when the others are lost",
        details: "Needs no running system. A folder of keys without any key is refused at the start when the "
            + "vault has data keys: it may just not be mounted. When it is lost for good, this makes a new "
            + "key, so that new sessions can be recorded. What was recorded before stays closed.",
        options: [
            acceptLoss.declaration, SystemSettings.keys.declaration, Common.data.declaration,
            Common.config.declaration,
        ],
        examples: ["reel keys init --accept-loss", "reel keys init --accept-loss --keys /mnt/reel/keys"],
        statuses: [
            "1  the folder has a key already", Common.usageStatus, "3  the folder cannot be used",
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let data = try settings.require(Common.data)
        let folder =
            settings[SystemSettings.keys] ?? DataFolder.keys(in: DataFolder.absolute(data) ?? data)
        guard settings[acceptLoss] else {
            throw UsageError(
                ["--accept-loss is missing: a new key does not open what was recorded before"],
                command: "keys init")
        }
        if try KeyRing.hasKey(folder: folder) {
            throw CommandFailure(.no, "\(folder) has a key-encryption key already")
        }
        let ring = try KeyRing.open(folder: folder)
        try Output.line(try ring.activeKey().id)
        return .success
    }
}
