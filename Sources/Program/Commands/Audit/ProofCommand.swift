import Base
import Console
import EventSourcing
import RedisLog
import SessionContent

/// `reel proof`: what a stranger needs to check one sealed file against a session's root.
enum ProofCommand: Command {
    static let chunk = Positional(
        "CHUNK", .identifier, help: "Id or sequence number of a chunk of the session")

    static let declaration = CommandDeclaration(
        "proof", summary: "Print the proof that one sealed file belongs to a session",
        details: "The proof is a JSON document: leaf hash, place, size of the tree, path and root (RFC 9162, "
            + "SHA-256). With the sealed file and the root, which the session's MerkleRootComputed event "
            + "holds, any implementation of that standard checks it; no key and no server is needed.",
        positionals: [Common.session, chunk],
        options: [Common.json.declaration] + Common.places,
        examples: [
            "reel proof sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D 7 > proof.json",
            "reel proof check proof.json var/chunks/sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D/00000007.reel --root HEX",
        ],
        statuses: [
            "1  no such session or chunk, the session is not completed yet, or its log contradicts itself",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let prover = SessionProver(store: try system.log.open())
        do {
            let proof = try prover.proof(
                of: settings.positional(1) ?? "", in: settings.positional(0) ?? "")
            var writer = JSONWriter()
            proof.encode(into: &writer)
            try Output.line(writer)
            return .success
        } catch let failure as ProofFailure {
            throw CommandFailure(.no, "\(failure)")
        }
    }
}

/// `reel proof consistency`: that a session's tree begins with the tree that it was before.
enum ProofConsistencyCommand: Command {
    static let from = Setting(
        "from", "N", .integer(1...99_999_999), isRequired: true, help: "Chunks of the earlier tree")
    static let to = Setting(
        "to", "N", .integer(1...99_999_999), help: "Chunks of the later tree; all without it")

    static let declaration = CommandDeclaration(
        "proof", "consistency", summary: "Print the proof that a session's tree only grew",
        details: "The proof is a JSON document: sizes and roots of both trees and the path (RFC 9162 section "
            + "2.1.4). Whoever has kept an earlier root, with how many chunks it was made of, learns from it "
            + "that these chunks are still the first ones, unchanged and in order.",
        positionals: [Common.session],
        options: [from.declaration, to.declaration, Common.json.declaration] + Common.places,
        examples: [
            "reel proof consistency sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --from 7 > consistency.json",
            "reel proof consistency check consistency.json --first-root HEX --second-root HEX",
        ],
        statuses: [
            "1  no such session, the session is not completed yet, or it never had so many chunks",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let prover = SessionProver(store: try system.log.open())
        do {
            let proof = try prover.consistency(
                of: settings.positional(0) ?? "", from: try settings.require(from), to: settings[to])
            var writer = JSONWriter()
            proof.encode(into: &writer)
            try Output.line(writer)
            return .success
        } catch let failure as ProofFailure {
            throw CommandFailure(.no, "\(failure)")
        }
    }
}
