import Base
import RecordingMongo
import MongoViews
import Console
import EventSourcing
import Recording
import ReadModels

/// `reel chunks`: the chunks of a session.
enum ChunksCommand: Command {
    static let status = Setting(
        "status", "STATUS", .oneOf(ChunkStatus.allCases.map(\.rawValue)), help: "Only chunks in this state")
    static let limit = Setting(
        "limit", "N", .integer(1...1000), default: "100", help: "Most chunks that are shown")
    static let offset = Setting(
        "offset", "N", .integer(0...1_000_000_000), default: "0", help: "Chunks that are skipped")

    static let declaration = CommandDeclaration(
        "chunks", summary: "List the chunks of a session", positionals: [Common.session],
        options: [status.declaration, limit.declaration, offset.declaration, Common.json.declaration]
            + Common.places,
        examples: ["reel chunks sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --status failed"],
        statuses: [Common.notFoundStatus, Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let id = settings.positional(0) ?? ""
        let system = try RunningSystem(settings)
        let queries = try system.queries()
        var filter = ChunkFilter()
        filter.status = settings[status].flatMap(ChunkStatus.init)
        let page = Page(limit: try settings.require(limit), offset: try settings.require(offset))
        do {
            guard try queries.session(id) != nil else {
                throw CommandFailure(.no, try SessionsShowCommand.missing(id, system))
            }
        } catch let failure as QueryFailure where failure.isOfRecord {
            // Its chunks have documents of their own.
            Output.error(Table.printable("reel chunks: \(failure)"))
        }
        let chunks = try queries.chunks(ofSession: id, filter, page)
        let total = try queries.chunkCount(ofSession: id, filter)
        if settings[Common.json] {
            var writer = JSONWriter()
            ChunkListResponse(chunks: chunks, pagination: PaginationInfo(page, total: total))
                .encode(into: &writer, as: .document)
            try Output.line(writer)
            return .success
        }
        var table = Table(">#", "STATUS", "CAPTURED", ">BYTES", ">RATIO", "MERKLE HASH", "FILE")
        for chunk in chunks {
            table.add(
                "\(chunk.sequenceNumber)", chunk.status.rawValue, ShortTime.text(chunk.timestamp),
                Quantity.grouped(chunk.sizeBytes), Ratio.text(chunk.compressionRatio),
                String(chunk.merkleHash?.prefix(16) ?? ""), chunk.storagePath ?? "")
        }
        try Output.table(table, empty: "no chunks")
        if page.offset + chunks.count < total {
            Output.error(
                "\(page.offset + chunks.count) of \(total) shown; go on with --offset \(page.offset + page.limit)"
            )
        }
        return .success
    }
}
