internal import ChunkFiles
internal import Files

/// What the writers of a session's streams, wherever they run, let each other know: notes in the session's
/// folder of the spool, which all of them share.
///
/// | note | text |
/// |---|---|
/// | `writer` | whose stream it is: whoever opened one last |
/// | `stream-<writer>` | there while a stream is open or was cut off: the last request that it has answered |
/// | `request` | what all of the session's streams are asked to do |
/// | `lacking-<number>` | bytes that belonged into this chunk never came; the largest number: never will |
/// | `dropped` | bytes that were thrown away while the recording was paused |
/// | `closing-<name>` | somebody is about to stop the session |
///
/// They make takeovers smooth and let a stop know what is missing. What may be written where is for the log
/// to say, whatever stands here.
struct StreamNotes {
    /// What streams are asked to do.
    enum Wish: String, CaseIterable {
        /// Record what is in hand.
        case settle
        /// The same, and take nothing more until the recording is resumed.
        case pause
        /// Go on.
        case resume
        /// The session is over: see what the log says.
        case over
    }

    /// What is asked of a session's streams, told from other requests by its id.
    struct Request: Equatable {
        var wish: Wish
        var id: String

        var text: String { "\(wish.rawValue)-\(id)" }

        init(_ wish: Wish) {
            self.wish = wish
            id = SpoolNotes.newName()
        }

        init?(_ text: String) {
            let parts = text.split(separator: "-")
            guard parts.count == 2, let wish = Wish(rawValue: String(parts[0])) else { return nil }
            self.wish = wish
            id = String(parts[1])
        }
    }

    /// A stream that is open, or was cut off with its process.
    struct OpenStream {
        var writer: String
        /// The last request that it has carried out.
        var answered: String
        /// Whether its source has promised bytes that have not come yet.
        var isOwing: Bool
    }

    private static let owner = "writer"
    private static let request = "request"
    private static let stream = "stream-"
    private static let lacking = "lacking-"
    private static let dropped = "dropped"
    private static let owing = "owing"
    private static let closing = "closing-"
    /// Much longer than `SessionClosing` trusts its note.
    private static let closingSeconds = 120

    private let notes: SpoolNotes

    init(_ spool: Spool, _ session: String) { notes = spool.notes(of: session) }

    /// An id for a writer.
    static func newWriter() -> String { SpoolNotes.newName() }

    // MARK: - Whose stream it is

    func claim(by writer: String) throws(StorageFailure) { try notes.write(Self.owner, writer) }

    func owner() throws(StorageFailure) -> String? { try notes.read(Self.owner) }

    // MARK: - Streams that are open

    /// Notes that the stream of a writer is open, and which request it has carried out.
    func open(_ writer: String, answered: String?, isOwing: Bool) throws(StorageFailure) {
        let text = [answered ?? "", isOwing ? Self.owing : ""].joined(separator: " ")
        try notes.write(Self.stream + writer, text)
    }

    func close(_ writer: String) throws(StorageFailure) { try notes.remove(Self.stream + writer) }

    func openStreams() throws(StorageFailure) -> [OpenStream] {
        var found: [OpenStream] = []
        for name in try notes.names() where name.hasPrefix(Self.stream) {
            guard let text = try notes.read(name) else { continue }
            let parts = text.split(separator: " ", omittingEmptySubsequences: false)
            found.append(
                OpenStream(
                    writer: String(name.dropFirst(Self.stream.count)), answered: String(parts.first ?? ""),
                    isOwing: parts.last.map { $0 == Self.owing } ?? false))
        }
        return found
    }

    // MARK: - What they are asked

    func ask(_ request: Request) throws(StorageFailure) { try notes.write(Self.request, request.text) }

    func asked() throws(StorageFailure) -> Request? { try notes.read(Self.request).flatMap(Request.init) }

    // MARK: - What is missing

    /// Notes that bytes of this chunk were to come, and did not. Where the recording comes that far, it has
    /// all that was missing before; so lower numbers need no notes.
    func lacks(_ number: Int) throws(StorageFailure) {
        try notes.write("\(Self.lacking)\(number)", "")
        for other in try lacking() where other < number { try notes.remove("\(Self.lacking)\(other)") }
    }

    /// Notes that something was taken that can't be recorded any more, whatever still comes.
    func lacksForGood() throws(StorageFailure) { try lacks(.max) }

    /// The numbers of chunks of which bytes never came.
    func lacking() throws(StorageFailure) -> [Int] {
        try notes.names().compactMap { name in
            name.hasPrefix(Self.lacking) ? Int(name.dropFirst(Self.lacking.count)) : nil
        }
    }

    // MARK: - Whether it is being stopped

    /// Notes that the session is about to be stopped.
    /// - Returns: the note's name.
    func close() throws(StorageFailure) -> String {
        let name = Self.closing + SpoolNotes.newName()
        try notes.write(name, "")
        return name
    }

    func has(_ name: String) throws(StorageFailure) -> Bool { try notes.read(name) != nil }

    func remove(closing name: String) throws(StorageFailure) { try notes.remove(name) }

    /// Whether somebody is about to stop the session. Notes of those who died over it go.
    func isClosing() throws(StorageFailure) -> Bool {
        var isClosing = false
        for name in try notes.names() where name.hasPrefix(Self.closing) {
            guard let age = try notes.ageSeconds(of: name) else { continue }
            if age < Self.closingSeconds { isClosing = true } else { try notes.remove(name) }
        }
        return isClosing
    }

    // MARK: - What was thrown away

    func setDropped(_ bytes: Int) throws(StorageFailure) { try notes.write(Self.dropped, "\(bytes)") }

    func droppedBytes() throws(StorageFailure) -> Int {
        try notes.read(Self.dropped).flatMap { Int($0) } ?? 0
    }
}
