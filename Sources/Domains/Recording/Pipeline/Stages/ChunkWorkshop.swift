internal import Blobs
internal import Base
internal import Recording
internal import SessionContent
internal import Supervision
internal import ChunkFiles
internal import Files
internal import Sealing

/// What a stage cannot work with; trying again does not help.
struct ChunkDefect: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// The hands of a stage worker: buffers that are kept from chunk to chunk, codecs, keys and folders.
/// One thread. A chunk is read once, compressed straight to where its ciphertext will stand, and written
/// once; decrypting and decompressing for validation reuse the buffers of what came before.
final class ChunkWorkshop {
    private let spool: Spool
    private let chunks: ChunkStore
    private let keys: SessionKeys
    private let levels: [Codec: Int]

    private let sealer = Sealer()
    private let reader = SealedFileReader()
    private var compressors: [Codec: Compressor] = [:]
    /// Recorded bytes, first as they came and then as they came back in validation.
    private let original = ScratchBuffer()
    /// The codec's output, when it comes from or goes to another worker.
    private let payload = ScratchBuffer()
    /// The sealed file.
    private let image = ScratchBuffer()
    /// What the sealer said of the file in `image`; nil when that came from somewhere else.
    private var fresh: SealedImage?
    /// What the last attempt at a chunk left in the spool, by chunk id. Not that of earlier ones: an attempt
    /// whose append had no answer may be the one that the log describes.
    private var handovers: [String: [String]] = [:]

    init(vault: VaultAccess, keys: SessionKeys, levels: [Codec: Int]) {
        spool = vault.spool
        chunks = vault.chunks
        self.keys = keys
        self.levels = levels
    }

    /// Takes a chunk through the chain; the events tell of it, one per stage. Everything that they tell
    /// is durable.
    func run(_ item: ChunkItem, through chain: [StageName]) throws -> [ChunkEvent] {
        handovers[item.chunk.chunkID] = nil
        // Its bytes would pass for this session's where nothing is encrypted.
        guard Spool.isPath(item.path, of: item.chunk.sessionID) else {
            throw ChunkDefect("\(item.path) is no file of its session's in the spool")
        }
        fresh = nil
        var events: [ChunkEvent] = []
        var stages = chain[...]
        var item = item
        if stages.first == .compress {
            stages.removeFirst()
            let isSealedToo = stages.first == .encrypt
            if isSealedToo { stages.removeFirst() }
            try compress(&item, sealing: isSealedToo, handsOver: stages.isEmpty, &events)
        } else if stages.first == .encrypt {
            stages.removeFirst()
            try encrypt(&item, handsOver: stages.isEmpty, &events)
        } else {
            try loadImage(item)
        }
        guard case .sealed(var sealed) = item.form else { return events }
        if stages.first != .validate, fresh == nil { try reader.verify(image, as: SealedChunk(sealed)) }
        if stages.first == .validate {
            stages.removeFirst()
            try validate(&sealed)
            sealed.path = stages.isEmpty ? try sealedPath(item, chain) : nil
            events.append(.validated(sealed))
        }
        if stages.first == .store { try store(sealed, item, &events) }
        return events
    }

    /// After the append: empties the spool of a stored chunk, or takes back what nobody will pick up.
    /// - Parameter isStored: whether the events that were appended, or refused, end with ChunkStored.
    ///   Refused ones prove nothing: a worker without a chain may just have handed the chunk on through
    ///   the spool, and its next stage still has to find it there.
    func settle(_ item: ChunkItem, isStored: Bool, appended: Bool) {
        let left = handovers.removeValue(forKey: item.chunk.chunkID) ?? []
        // Failing to clean up costs space, not truth: the session's folder goes when it is completed.
        if isStored && appended {
            // What the event describes and what was made of it. Another file of this number is another
            // sender's, who may be about to record it as the next chunk.
            _ = try? spool.purge(item.path, of: item.chunk.sessionID)
        } else if !appended {
            for path in left { _ = try? spool.remove(path) }
        }
    }

    /// Removes every file of a chunk of a deleted session.
    func discard(_ chunk: ChunkReference, spooled path: String?) throws(StorageFailure) {
        handovers[chunk.chunkID] = nil
        // What no spool can hold, or is another session's, is nothing of this chunk.
        if let path, Spool.isPath(path, of: chunk.sessionID) { try spool.purge(path, of: chunk.sessionID) }
        try chunks.remove(session: chunk.sessionID, sequence: chunk.sequenceNumber)
    }

    /// Puts back into the spool what a chunk's own sealed file has of it; nil when it has no such file.
    ///
    /// The spool is emptied when a chunk is stored. Where the log has lost that event afterwards, the work
    /// comes again, and the file that it left is the only copy of what was recorded.
    func restore(_ item: ChunkItem) throws -> ChunkItem? {
        let (session, sequence) = (item.chunk.sessionID, item.chunk.sequenceNumber)
        guard try chunks.size(session: session, sequence: sequence) != nil else { return nil }
        let key = try key(item)
        if case .sealed(let sealed) = item.form {
            try reader.open(
                SealedChunk(sealed), from: chunks, key: key, image: image, into: original)
        } else {
            _ = try reader.adopt(
                RecordedChunk(item.chunk, item.content), from: chunks, key: key, image: image, into: original)
        }
        var restored = item
        switch item.form {
        case .raw:
            restored.path = try original.withBytes { bytes throws(StorageFailure) in
                // It is on its way out, as what is handed over.
                try spool.write(bytes, by: "raw", of: item.path, sequence: sequence)
            }
        case .payload(let name, _):
            let codec = try original.withBytes { try compressor(for: name).compress($0, into: payload) }
            let output = codec == .none ? original : payload
            restored.form = .payload(codec: codec.rawValue, bytes: output.count)
            restored.path = try handOver(output, from: .compress, item)
        case .sealed:
            restored.path = try handOver(image, from: .encrypt, item)
        }
        return restored
    }

    private func compress(
        _ item: inout ChunkItem, sealing: Bool, handsOver: Bool, _ events: inout [ChunkEvent]
    ) throws {
        guard case .raw(let name) = item.form else { throw ChunkDefect("\(item.path) is no recorded chunk") }
        let watch = Stopwatch()
        try spool.read(item.path, expectedBytes: item.content.sizeBytes, into: original)
        let compressor = try compressor(for: name)
        if sealing {
            let identity = try identity(item.chunk)
            let sealed = try original.withBytes { bytes in
                try sealer.compressAndSeal(
                    bytes, of: identity, with: compressor, cipher: try cipher(item.content),
                    key: try key(item), into: image)
            }
            let compressing = watch.part(sealed.compressionMilliseconds)
            events.append(
                .compressed(
                    ChunkEvent.Compressed(
                        chunk: item.chunk, content: item.content, codec: sealed.header.codec.rawValue,
                        compressedBytes: sealed.payloadBytes, processingMilliseconds: compressing.rounded3,
                        spoolPath: nil)))
            try finishSealing(
                &item, sealed, milliseconds: watch.milliseconds - compressing, handsOver: handsOver, &events)
        } else {
            let codec = try original.withBytes { try compressor.compress($0, into: payload) }
            let output = codec == .none ? original : payload
            let path = try handOver(output, from: .compress, item)
            events.append(
                .compressed(
                    ChunkEvent.Compressed(
                        chunk: item.chunk, content: item.content, codec: codec.rawValue,
                        compressedBytes: output.count, processingMilliseconds: watch.milliseconds.rounded3,
                        spoolPath: path)))
        }
    }

    /// Where the next worker finds the sealed file: where it was found, or where it is put now.
    private func sealedPath(_ item: ChunkItem, _ chain: [StageName]) throws -> String {
        chain.first == .validate ? item.path : try handOver(image, from: .encrypt, item)
    }

    private func encrypt(_ item: inout ChunkItem, handsOver: Bool, _ events: inout [ChunkEvent]) throws {
        guard case .payload(let name, let count) = item.form else {
            throw ChunkDefect("\(item.path) is no compressed chunk")
        }
        let watch = Stopwatch()
        try spool.read(item.path, expectedBytes: count, into: payload)
        let identity = try identity(item.chunk)
        let sealed = try payload.withBytes { bytes in
            try sealer.seal(
                bytes, of: identity, codec: try codec(named: name), originalBytes: item.content.sizeBytes,
                cipher: try cipher(item.content), key: try key(item), into: image)
        }
        try finishSealing(
            &item, sealed, milliseconds: watch.milliseconds, handsOver: handsOver, &events)
    }

    private func finishSealing(
        _ item: inout ChunkItem, _ image: SealedImage, milliseconds: Double, handsOver: Bool,
        _ events: inout [ChunkEvent]
    ) throws {
        var sealed = Self.sealed(item, image, milliseconds: milliseconds)
        fresh = image
        if handsOver {
            sealed.path = try handOver(self.image, from: .encrypt, item)
        }
        item.form = .sealed(sealed)
        events.append(.sealed(sealed))
    }

    private func handOver(
        _ buffer: ScratchBuffer, from stage: StageName, _ item: ChunkItem
    ) throws -> String {
        let path = try buffer.withBytes { bytes throws(StorageFailure) in
            try spool.write(bytes, by: stage.rawValue, of: item.path, sequence: item.chunk.sequenceNumber)
        }
        handovers[item.chunk.chunkID, default: []].append(path)
        return path
    }

    private static func sealed(
        _ item: ChunkItem, _ image: SealedImage, milliseconds: Double
    ) -> ChunkEvent.Sealed {
        ChunkEvent.Sealed(
            chunk: item.chunk, content: item.content, codec: image.header.codec.rawValue,
            compressedBytes: image.payloadBytes, sealedBytes: image.fileBytes,
            merkleHash: image.leafHash.hex, processingMilliseconds: milliseconds.rounded3, path: nil)
    }

    /// Fetches a sealed file that another worker left in the spool. It is checked with what comes next.
    private func loadImage(_ item: ChunkItem) throws {
        guard case .sealed(let sealed) = item.form else { throw ChunkDefect("\(item.path) is not sealed") }
        try spool.read(item.path, expectedBytes: sealed.sealedBytes, into: image)
    }

    /// Decrypts and decompresses the sealed file in `image` and compares the digest with the recorded one.
    private func validate(_ sealed: inout ChunkEvent.Sealed) throws {
        let watch = Stopwatch()
        let key = try key(sealed.chunk, sealed.content)
        if let fresh {
            try reader.open(
                image, sealedAs: fresh, of: RecordedChunk(sealed.chunk, sealed.content), key: key,
                into: original)
        } else {
            try reader.open(image, as: SealedChunk(sealed), key: key, into: original)
        }
        sealed.processingMilliseconds = watch.milliseconds.rounded3
    }

    /// Makes the file in `image` the chunk's file. When there is one already it stays and is adopted: a
    /// worker that wakes up late must never replace a file that the log may describe.
    private func store(
        _ sealed: ChunkEvent.Sealed, _ item: ChunkItem, _ events: inout [ChunkEvent]
    ) throws {
        let watch = Stopwatch()
        var stored = sealed
        let (session, sequence) = (item.chunk.sessionID, item.chunk.sequenceNumber)
        let outcome = try image.withBytes { bytes throws(StorageFailure) in
            try chunks.store(bytes, session: session, sequence: sequence)
        }
        if outcome != .stored {
            let found = try reader.adopt(
                RecordedChunk(item.chunk, item.content), from: chunks, key: try key(item), image: image,
                into: original)
            if found.merkleHash.hex != sealed.merkleHash {
                stored.codec = found.codec.rawValue
                stored.sealedBytes = found.sealedBytes
                stored.merkleHash = found.merkleHash.hex
                stored.compressedBytes = found.compressedBytes
                events = events.map { $0.adopting(stored) }
            }
        }
        stored.path = try ChunkStore.relativePath(session: session, sequence: sequence)
        stored.processingMilliseconds = watch.milliseconds.rounded3
        events.append(.stored(stored))
    }

    private func identity(_ chunk: ChunkReference) throws -> ChunkIdentity {
        try ChunkIdentity(
            chunkID: chunk.chunkID, sessionID: chunk.sessionID, sequenceNumber: chunk.sequenceNumber)
    }

    private func key(_ item: ChunkItem) throws -> SessionKey { try key(item.chunk, item.content) }

    private func key(_ chunk: ChunkReference, _ content: ChunkContent) throws -> SessionKey {
        let key: SessionKey
        do { key = try keys.key(ofSession: chunk.sessionID) } catch let missing as KeyMissing {
            throw KeyMissing(sessionID: missing.sessionID, keyID: content.keyID)
        }
        guard key.keyID == content.keyID else {
            throw ChunkDefect("the session's key is \(key.keyID), not \(content.keyID)")
        }
        return key
    }

    private func cipher(_ content: ChunkContent) throws -> Cipher {
        guard let cipher = Cipher(rawValue: content.cipher) else {
            throw ChunkDefect("unknown cipher \(content.cipher)")
        }
        return cipher
    }

    private func codec(named name: String) throws -> Codec {
        guard let codec = Codec(rawValue: name) else { throw ChunkDefect("unknown codec \(name)") }
        return codec
    }

    private func compressor(for name: String) throws -> Compressor {
        let codec = try codec(named: name)
        if let compressor = compressors[codec] { return compressor }
        let compressor = try Compressor(codec: codec, level: levels[codec])
        compressors[codec] = compressor
        return compressor
    }
}

/// Milliseconds since it was made.
struct Stopwatch {
    private let began = Machine.now

    var milliseconds: Double {
        let elapsed = (Machine.now - began).components
        return Double(elapsed.seconds) * 1000 + Double(elapsed.attoseconds) / 1e15
    }

    /// A part of that time, which was measured elsewhere by the machine's own clock; in simulated time
    /// such a measurement means nothing.
    func part(_ measured: Double) -> Double {
        Machine.simulated == nil ? min(measured, milliseconds) : milliseconds
    }
}

extension Double {
    /// Rounded to three decimals: microseconds of a time in milliseconds.
    var rounded3: Double { (self * 1000).rounded() / 1000 }
}

extension ChunkEvent {
    /// The same event about the file that was there first.
    fileprivate func adopting(_ stored: Sealed) -> ChunkEvent {
        switch self {
        case .compressed(var payload):
            payload.codec = stored.codec
            payload.compressedBytes = stored.compressedBytes
            return .compressed(payload)
        case .sealed(let payload): return .sealed(payload.adopting(stored))
        case .validated(let payload): return .validated(payload.adopting(stored))
        case .recorded, .stored, .failed, .deleted: return self
        }
    }
}

extension ChunkEvent.Sealed {
    fileprivate func adopting(_ stored: Self) -> Self {
        var adopted = stored
        adopted.processingMilliseconds = processingMilliseconds
        adopted.path = path
        return adopted
    }
}
