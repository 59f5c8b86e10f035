internal import Sealing
package import Files
/// What is wrong with a chunk's sealed file, or with what the log says of it: which chunk, and which check.
package struct SealedFileFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The check that failed.
    package enum Check: String, Sendable, CaseIterable {
        /// What the log says of the chunk can't be checked by.
        case malformed
        /// There is no such file.
        case missing
        /// Something else than a regular file of the store's own stands there.
        case special
        /// The file is shorter than the log says.
        case truncated
        /// The file is longer than the log says.
        case extended
        /// The file is that of another chunk of the session.
        case swapped
        /// The file is that of another session.
        case foreign
        /// The file's hash is not the one in the log.
        case damaged
        /// The file is the one in the log, and its header says something else than the log.
        case header
        /// The session's key is not the one that the file was sealed with, or there is none.
        case key
        /// The payload is not authentic, or does not decompress.
        case payload
        /// What comes out is not what was recorded.
        case content
        /// The disk refused; the text says why.
        case disk
    }

    /// The check that failed.
    package let check: Check
    /// The file, relative to the chunk store.
    package let subject: String
    /// What was found, and what ought to be.
    package let text: String
    /// Why the disk refused; nil for everything else.
    package let storage: StorageFailure?

    init(_ check: Check, subject: String, _ text: String, storage: StorageFailure? = nil) {
        self.check = check
        self.subject = subject
        self.text = text
        self.storage = storage
    }

    /// Whether the file is the one in the log, by its hash, and something else about it is wrong.
    package var isBehindHash: Bool { [.header, .key, .payload, .content].contains(check) }

    /// Whether trying again later may help: the process or the machine is short of something.
    package var isTransient: Bool { storage?.isTransient ?? false }

    /// `<file>: <text>`.
    package var description: String { "\(subject): \(text)" }
}

extension SealedFileFault {
    init(_ failure: StorageFailure, _ chunk: RecordedChunk) {
        let check: Check =
            switch failure {
            case .missing: .missing
            case .notAFile, .notAFolder: .special
            case .wrongSize(_, let expected, let found): found < expected ? .truncated : .extended
            case .tooLarge: .extended
            case .file(let failure) where failure.isMissing: .missing
            default: .disk
            }
        let text: String =
            switch failure {
            case .missing,
                .file where check == .missing:
                "the file of chunk \(chunk.identity.chunkID) is gone"
            case .notAFile(_, let kind): "\(kind.rawValue) stands there, not a regular file"
            case .notAFolder(_, let kind): "the session's folder is \(kind.rawValue)"
            case .wrongSize(_, let expected, let found): "\(found) bytes instead of \(expected)"
            case .tooLarge(_, let bytes, let limit): "\(bytes) bytes, and at most \(limit) are possible"
            default: "\(failure)"
            }
        self.init(
            check, subject: chunk.subject, text, storage: check == .disk ? failure : nil)
    }

    init(_ failure: SealFailure, _ chunk: RecordedChunk) {
        let check: Check =
            switch failure {
            case .wrongKey, .otherSession: .key
            case .authenticationFailed, .payload: .payload
            case .digestMismatch: .content
            case .notASealedFile, .truncated, .invalidHeader, .otherChunk, .tooLarge: .header
            }
        self.init(check, subject: chunk.subject, "\(failure)")
    }
}
