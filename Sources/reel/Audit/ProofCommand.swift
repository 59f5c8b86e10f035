import Console
import EventSourcing
import Pipeline
import RedisLog

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
            "reel proof check proof.json var/chunks/sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D/00000007.reel",
        ],
        statuses: [
            "1  no such session or chunk, or the session is not completed yet", Common.usageStatus,
            Common.dependencyStatus,
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
