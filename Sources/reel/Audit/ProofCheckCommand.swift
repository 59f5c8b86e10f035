import Console
import EventSourcing
import Glibc
import Pipeline
import Vault

/// `reel proof check`: checks a proof and a file with nothing else at hand.
enum ProofCheckCommand: Command {
    static let root = Setting(
        "root", "HEX", .text(upTo: 64),
        help: "The root that is trusted; without it the proof's own root is checked against")

    static let declaration = CommandDeclaration(
        "proof", "check", summary: "Check a proof and a sealed file, without a running system",
        details: "Hashes the file, follows the proof's path, and compares the root that it leads to.",
        positionals: [
            Positional("PROOF", .path, help: "The document that 'reel proof' printed"),
            Positional("FILE", .path, help: "The sealed file"),
        ],
        options: [root.declaration],
        examples: ["reel proof check proof.json 00000007.reel --root 0a310e05…"],
        statuses: ["1  the proof does not hold", Common.usageStatus])

    private static let maximumProofBytes = 64 * 1024

    static func run(_ settings: Settings) throws -> ExitStatus {
        let (path, file) = (settings.positional(0) ?? "", settings.positional(1) ?? "")
        guard let json = try? JSONValue(parsing: try document(path)), let proof = ChunkProof(json) else {
            throw UsageError(["\(path): not a proof as 'reel proof' prints it"], command: "proof check")
        }
        let leaf: Digest
        do { leaf = try LeafHasher().hash(fileAt: file).hash } catch {
            throw UsageError(["\(error)"], command: "proof check")
        }
        let trusted = settings[root] ?? proof.root.hex
        guard leaf == proof.leafHash else {
            throw CommandFailure(.no, "\(file) is not the file of the proof: its leaf hash is \(leaf)")
        }
        guard proof.inclusion.root(leafHash: leaf)?.hex == trusted.lowercased() else {
            throw CommandFailure(.no, "the path does not lead to the root \(trusted)")
        }
        try Output.line(
            "\(file) is chunk \(proof.inclusion.leafIndex + 1) of \(proof.inclusion.treeSize) "
                + "under the root \(trusted)")
        return .success
    }

    private static func document(_ path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw UsageError(["\(path): \(String(cString: strerror(errno)))"], command: "proof check")
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: maximumProofBytes)
        let count = read(descriptor, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }
}
