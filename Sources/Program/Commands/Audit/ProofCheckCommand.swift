import Base
import Console
import EventSourcing
import Glibc
import SessionContent
import Files
import Sealing

/// `reel proof check`: checks a proof against a root that is trusted, with nothing else at hand.
enum ProofCheckCommand: Command {
    static let root = Setting(
        "root", "HEX", .text(upTo: 64),
        help: "The root that you trust, from wherever you have kept it; nothing is proven without one")
    static let leafHash = Setting(
        "leaf-hash", "HEX", .text(upTo: 64),
        help: "SHA-256(0x00 and the sealed file), in place of the file itself")
    static let treeSize = Setting(
        "tree-size", "N", .integer(1...99_999_999),
        help: "How many chunks the root is made of, from where you have kept the root; without it the place "
            + "among them is not proven")

    static let declaration = CommandDeclaration(
        "proof", "check", summary: "Check a proof and a sealed file, without a running system",
        details:
            "Hashes the file, compares its header with the session and the chunk that the proof names, and "
            + "follows the proof's path to the root that you trust. Says what was proven, and nothing "
            + "else: with --leaf-hash that a hash stands under the root, and not which session it is from. "
            + "A root alone does not say how many leaves it has, so that the place among them is proven "
            + "only with --tree-size. That the root is that of the session is what you know by trusting it.",
        positionals: [
            Positional("PROOF", .path, help: "The document that 'reel proof' printed"),
            Positional("FILE", .path, isRequired: false, help: "The sealed file"),
        ],
        options: [
            root.declaration, treeSize.declaration, leafHash.declaration, Common.json.declaration,
        ],
        examples: [
            "reel proof check proof.json 00000007.reel --root 0a310e05… --tree-size 12",
            "reel proof check proof.json --leaf-hash 5f1c… --root 0a310e05… --json",
        ],
        statuses: ["0  it holds under the root that was given", "1  it does not hold", Common.usageStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let command = "proof check"
        let path = settings.positional(0) ?? ""
        guard let trusted = try ProofInput.digest(settings[root], "--root", command) else {
            throw UsageError(
                [
                    "--root is missing: a proof proves nothing but that it leads to its own root; name the "
                        + "one that you trust"
                ], command: command)
        }
        let document = try ProofInput.document(path, command)
        let proof: ChunkProof
        do throws(ProofFault) { proof = try ChunkProof(parsing: document) } catch {
            throw CommandFailure(.no, "\(path) is no proof: \(error)")
        }
        let given = try ProofInput.digest(settings[leafHash], "--leaf-hash", command)
        let file = settings.positional(1)
        guard (given == nil) != (file == nil) else {
            throw UsageError(["give either the sealed file or --leaf-hash"], command: command)
        }
        let subject: String
        if let file {
            try check(file, proof, command)
            subject = file
        } else {
            guard given == proof.leafHash else {
                throw CommandFailure(
                    .no, "the proof is for the leaf hash \(proof.leafHash), not the one given")
            }
            subject = "the leaf hash"
        }
        if let size = settings[treeSize], size != proof.inclusion.treeSize {
            throw CommandFailure(
                .no, "\(path): the proof is for a tree of \(proof.inclusion.treeSize) leaves, not \(size)")
        }
        if let fault = proof.fault(root: trusted) { throw CommandFailure(.no, "\(path): \(fault)") }
        let proven = Proven(
            proof: proof, subject: subject, isFile: file != nil, isPlaced: settings[treeSize] != nil)
        try settings[Common.json] ? Output.line(proven.document) : Output.line(proven.text)
        return .success
    }

    /// The file is the one that the proof is about: its hash, and what its header says of itself.
    private static func check(_ file: String, _ proof: ChunkProof, _ command: String) throws {
        let found: (hash: Digest, bytes: Int, header: SealedHeader?)
        do throws(StorageFailure) { found = try LeafHasher().hash(fileAt: file) } catch {
            throw UsageError(["\(error)"], command: command)
        }
        guard found.hash == proof.leafHash else {
            throw CommandFailure(.no, "\(file) is not the file of the proof: its leaf hash is \(found.hash)")
        }
        guard let header = found.header else {
            throw CommandFailure(.no, "\(file) is no sealed file, and names no chunk")
        }
        if let fault = proof.fault(of: header) { throw CommandFailure(.no, "\(file): \(fault)") }
    }
}

/// What a check has proven, and nothing else.
private struct Proven {
    var proof: ChunkProof
    var subject: String
    /// Whether there was a file, whose header says what it is.
    var isFile: Bool
    /// Whether somebody vouches for the size of the tree.
    var isPlaced: Bool

    var text: String {
        let place = "leaf \(proof.sequenceNumber) of \(proof.inclusion.treeSize)"
        var text = "\(subject) "
        if isFile {
            text += "is chunk \(proof.sequenceNumber) of session \(proof.sessionID) (\(proof.chunkID)) "
        }
        text += isFile ? "and stands" : "stands"
        if isPlaced { text += " as \(place)" }
        text += " under the root \(proof.root) that you gave"
        if !isPlaced { text += "; as \(place), says the proof (proven with --tree-size)" }
        return Table.printable(text)
    }

    var document: JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("proven", true)
            json.member("root", proof.root.hex)
            json.member("leaf_hash", proof.leafHash.hex)
            // The same path leads to the same root from other places of trees of other sizes.
            if isPlaced {
                json.member("tree_size", proof.inclusion.treeSize)
                json.member("leaf_index", proof.inclusion.leafIndex)
            }
            // A hash alone says nothing of whose it is.
            if isFile {
                json.member("session_id", proof.sessionID)
                json.member("chunk_id", proof.chunkID)
                json.member("sequence_number", proof.sequenceNumber)
            }
        }
        return writer
    }
}

/// `reel proof consistency check`: checks that a tree begins with an earlier one.
enum ProofConsistencyCheckCommand: Command {
    static let firstRoot = Setting(
        "first-root", "HEX", .text(upTo: 64), help: "The earlier root that you trust")
    static let secondRoot = Setting(
        "second-root", "HEX", .text(upTo: 64), help: "The later root that you trust")

    static let declaration = CommandDeclaration(
        "proof", "consistency", "check", summary: "Check that a tree begins with an earlier one",
        details: "Follows the proof's path to both roots, which you trust. Needs no running system.",
        positionals: [
            Positional("PROOF", .path, help: "The document that 'reel proof consistency' printed")
        ],
        options: [firstRoot.declaration, secondRoot.declaration, Common.json.declaration],
        examples: [
            "reel proof consistency check consistency.json --first-root 0a310e05… --second-root 77c1…"
        ],
        statuses: [
            "0  it holds between the roots that were given", "1  it does not hold", Common.usageStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let command = "proof consistency check"
        let path = settings.positional(0) ?? ""
        guard let first = try ProofInput.digest(settings[firstRoot], "--first-root", command),
            let second = try ProofInput.digest(settings[secondRoot], "--second-root", command)
        else {
            throw UsageError(
                [
                    "--first-root and --second-root are needed: nothing is proven of roots that nobody trusts"
                ],
                command: command)
        }
        let document = try ProofInput.document(path, command)
        let proof: TreeConsistencyProof
        do throws(ProofFault) { proof = try TreeConsistencyProof(parsing: document) } catch {
            throw CommandFailure(.no, "\(path) is no proof: \(error)")
        }
        if let fault = proof.fault(firstRoot: first, secondRoot: second) {
            throw CommandFailure(.no, "\(path): \(fault)")
        }
        let (from, to) = (proof.consistency.firstSize, proof.consistency.secondSize)
        guard settings[Common.json] else {
            try Output.line(
                "the tree under the root \(second) begins with the one under the root \(first); they have "
                    + "\(to) and \(from) leaves, says the proof")
            return .success
        }
        var writer = JSONWriter()
        writer.object { json in
            json.member("proven", true)
            json.member("first_root", first.hex)
            json.member("second_root", second.hex)
        }
        try Output.line(writer)
        return .success
    }
}

/// What the checking commands are given.
private enum ProofInput {
    private static let maximumBytes = 64 * 1024

    /// A digest that was given as an option; nil when it was not.
    static func digest(_ text: String?, _ option: String, _ command: String) throws(UsageError) -> Digest? {
        guard let text else { return nil }
        guard let digest = Digest(hex: text.lowercased()) else {
            throw UsageError(["\(option) \(text): must be 64 hexadecimal digits"], command: command)
        }
        return digest
    }

    /// The bytes of a document; of one that is larger than any proof, the beginning, which is none.
    static func document(_ path: String, _ command: String) throws(UsageError) -> [UInt8] {
        func failure() -> UsageError {
            UsageError(["\(path): \(String(cString: strerror(errno)))"], command: command)
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 * 1024)
        while bytes.count <= maximumBytes {
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure() }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return bytes
    }
}
