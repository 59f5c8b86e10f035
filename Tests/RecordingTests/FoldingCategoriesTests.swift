import Base
import EventSourcing
import ReadModels
import Recording
import Simulation
import Testing

/// A view of doors, one document each, by the name that the event's subject has.
private let doors = CategoryViews(Category("door")) { (event) throws(MalformedEvent) in event.subject }
    .showing(
        View<String, ViewIdentity>(
            .history,
            in: [
                ViewCollection(
                    CollectionDeclaration(
                        "doors", key: "id", history: "id", indexes: [], check: { (_) throws(BSONError) in })
                ) { identity in BSONDocument { $0.append("id", identity.key) } }
            ],
            identity: { $0 }, begin: { ViewIdentity($0, version: $1.sequence, position: $1.position) },
            evolve: { $0.version = $2.sequence },
            read: { (fields) throws(BSONError) in
                ViewIdentity(try fields.string("id"), version: 1, position: .start(of: 0))
            }))

@Suite("Folding several categories")
struct FoldingCategoriesTests {
    private func event(_ history: String, _ subject: String, _ sequence: UInt64) -> RecordedEvent {
        RecordedEvent(
            event: SampleEvents.event("\(history)/\(sequence)", subject: subject), partitionKey: history,
            sequence: sequence, position: LogPosition(partition: 0, milliseconds: 1, counter: sequence))
    }

    private func take(_ events: [RecordedEvent], _ folder: ProjectionFolder, of whole: [RecordedEvent]) throws
        -> Int
    {
        try folder.take(events) { _ throws(FoldFailure) in
        } history: { (_, event, sequence) throws(FoldFailure) in
            whole.filter { $0.partitionKey == event.partitionKey && $0.sequence > sequence }
        } failure: {
            $0
        }
    }

    @Test("a gap in a view without sums leaves the sums of others known")
    func gap() throws {
        let folder = ProjectionFolder(ViewSet(RecordingViews.all.categories + [doors]))
        folder.totals = ProjectedTotals(lineage: "", known: [:], unknown: [])
        let whole = (1...3).map { event("door/d1", "d1", $0) }
        #expect(try take([whole[2]], folder, of: whole) == 1)
        #expect(folder.totals?.unknown.isEmpty == true)
    }

    @Test("a history whose first state has another name is what cannot be understood, and no gap")
    func otherName() throws {
        let folder = ProjectionFolder(ViewSet([doors]))
        let whole = (1...2).map { event("door/d1", "d2", $0) }
        let failure = #expect(throws: FoldFailure.self) { _ = try take(whole, folder, of: whole) }
        #expect(failure?.isFinal == true && failure?.position == whole[0].position)
    }
}
