package import EventSourcing

/// What is known of a view by those who do not fold it.
package struct ViewDeclaration: Sendable {
    /// In the order in which they are written.
    package let collections: [CollectionDeclaration]

    /// The collection that keeps the view's state.
    package var state: CollectionDeclaration? { collections.last }
}

/// The views of one category, whatever their events are decoded to.
package protocol ProjectedCategory: Sendable {
    /// The histories that they are made from.
    var category: Category { get }
    /// The views in their order.
    var views: [ViewDeclaration] { get }
    /// The sums that one of them keeps.
    var totals: TotalsDeclaration? { get }
    /// States in memory, which events are folded into.
    func makeFolder(_ limits: FolderLimits, _ keeper: TotalsKeeper) -> any CategoryFolding
    /// Throws where an event can't be understood.
    func require(_ event: RecordedEvent) throws(MalformedEvent)
}

/// The views of the histories of one category, which share what an event is decoded to.
package struct CategoryViews<Fact: Sendable>: ProjectedCategory {
    /// The histories that they are made from.
    package let category: Category
    /// The views in their order.
    package private(set) var views: [ViewDeclaration] = []
    /// The sums that one of them keeps.
    package private(set) var totals: TotalsDeclaration?
    private let decode: @Sendable (RecordedEvent) throws(MalformedEvent) -> Fact
    private var makers: [@Sendable (FolderLimits, TotalsKeeper) -> ViewStates<Fact>] = []

    /// No views yet.
    /// - Parameter decode: reads the payload of any event of the category.
    package init(
        _ category: Category, decode: @escaping @Sendable (RecordedEvent) throws(MalformedEvent) -> Fact
    ) {
        self.category = category
        self.decode = decode
    }

    /// The same with one view more.
    package func showing<State>(_ view: View<Fact, State>) -> CategoryViews {
        var more = self
        let category = category
        let collections = view.collections.map { collection in
            var declaration = collection.declaration
            declaration.category = category
            return declaration
        }
        more.views.append(ViewDeclaration(collections: collections))
        if let totals = view.totals, let state = collections.last {
            precondition(self.totals == nil, "one view of a category keeps sums")
            more.totals = totals.declaration(state, view)
        }
        more.makers.append { limits, keeper in
            switch view.scope {
            case .history: HistoryStates(view, category, collections, limits.histories, keeper)
            case .part(let first, let types): PartStates(view, first, types, collections, limits.parts)
            case .record: RecordStates(view, collections)
            }
        }
        return more
    }

    /// States in memory, which events are folded into.
    package func makeFolder(_ limits: FolderLimits, _ keeper: TotalsKeeper) -> any CategoryFolding {
        CategoryFolder(
            decode, makers.map { $0(limits, keeper) }.sorted { $0.rank < $1.rank },
            keepsTotals: totals != nil)
    }

    /// Throws where an event can't be understood.
    package func require(_ event: RecordedEvent) throws(MalformedEvent) { _ = try decode(event) }
}

/// All read models of a system. Events of a category that has none are passed over.
package struct ViewSet: Sendable {
    /// The categories that have views.
    package let categories: [any ProjectedCategory]
    /// The sums that are kept along; nil where no view has any.
    package let totals: TotalsDeclaration?

    /// A set from the views of several categories.
    package init(_ categories: [any ProjectedCategory]) {
        self.categories = categories
        let kept = categories.compactMap(\.totals)
        precondition(kept.count <= 1, "sums stand in the checkpoints, which have room for those of one view")
        totals = kept.first
        precondition(
            Set(categories.map(\.category)).count == categories.count,
            "the views of a category stand together")
        let names = collections.map(\.name)
        precondition(Set(names).count == names.count, "no two views are shown in one collection")
    }

    /// The views of both.
    package static func + (left: ViewSet, right: ViewSet) -> ViewSet {
        ViewSet(left.categories + right.categories)
    }

    /// The views in their order.
    package var views: [ViewDeclaration] { categories.flatMap(\.views) }

    /// All collections: those of a view in the order in which they are written.
    package var collections: [CollectionDeclaration] { views.flatMap(\.collections) }

    /// The view that is shown in a collection; nil for a name of somebody else's.
    package func view(in collection: String) -> ViewDeclaration? {
        views.first { $0.collections.contains { $0.name == collection } }
    }

    /// Those among the events that can't be understood, whatever stands before them.
    package func malformed(among events: [RecordedEvent]) -> [FoldFailure] {
        FoldFailure.malformed(among: events) { (event) throws(MalformedEvent) in
            try categories.first { $0.category.contains(event.partitionKey) }?.require(event)
        }
    }
}
