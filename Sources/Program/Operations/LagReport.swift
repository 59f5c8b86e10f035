package import Base
package import Console
internal import EventSourcing
package import RedisLog

/// How far one stage or subscription is behind, as it is shown.
package struct LagReport {
    let name: String
    /// By partition; nil while no worker has ever joined the stage: all is ahead of it.
    let lags: [PartitionLag]?

    package init(_ name: String, _ lags: [PartitionLag]?) {
        self.name = name
        self.lags = lags
    }

    private func sum(_ figure: (PartitionLag) -> Int) -> Int {
        (lags ?? []).reduce(0) { $0 +| figure($1) }
    }

    var behind: Int { sum(\.behind) }
    var pending: Int { sum(\.pending) }
    var parked: Int { sum(\.parked) }
    /// Milliseconds since the oldest event that is not finished was appended.
    var oldest: Int? { lags?.compactMap(\.oldestMilliseconds).max() }
    var oldestPending: Int? { lags?.compactMap(\.oldestPendingMilliseconds).max() }
    var isOrdered: Bool { lags?.contains { $0.owner != nil } ?? false }
    /// The owners there are, and how many partitions nobody owns; nil for stages.
    private var owners: (count: Int, unowned: Int)? {
        guard let lags, isOrdered else { return nil }
        let names = lags.compactMap(\.owner)
        return (Set(names.filter { !$0.isEmpty }).count, names.count(where: \.isEmpty))
    }

    /// For people: a line for each stage.
    package static func table(_ reports: [LagReport]) -> Table {
        var table = Table("STAGE", ">BEHIND", ">LAG", ">PENDING", ">OLDEST", ">PARKED", "OWNERS")
        for report in reports {
            guard report.lags != nil else {
                table.add(report.name, "-", "-", "-", "-", "-", "no workers yet")
                continue
            }
            var owners = "shared"
            if let found = report.owners {
                owners =
                    "\(found.count)" + (found.unowned == 0 ? "" : ", \(found.unowned) partitions unowned")
            }
            table.add(
                report.name, Quantity.grouped(report.behind), age(report.oldest),
                report.isOrdered ? "-" : Quantity.grouped(report.pending), age(report.oldestPending),
                Quantity.grouped(report.parked), owners)
        }
        return table
    }

    /// The partitions in which something is behind, pending or parked.
    package static func partitionTable(_ reports: [LagReport]) -> Table {
        var table = Table(
            "STAGE", "PARTITION", ">BEHIND", ">LAG", ">PENDING", ">OLDEST", ">PARKED", "OWNER",
            ">GENERATION")
        for report in reports {
            for lag in report.lags ?? [] where max(lag.behind, lag.pending, lag.parked) > 0 {
                table.add(
                    report.name, LogPosition.partitionName(lag.partition), Quantity.grouped(lag.behind),
                    age(lag.oldestMilliseconds), Quantity.grouped(lag.pending),
                    age(lag.oldestPendingMilliseconds), Quantity.grouped(lag.parked), lag.owner ?? "shared",
                    lag.generation.map { "\($0)" } ?? "-")
            }
        }
        return table
    }

    private static func age(_ milliseconds: Int?) -> String {
        milliseconds.map { Quantity.age(milliseconds: $0) } ?? "-"
    }

    /// Seconds are 0 where nothing is unfinished.
    package func write(into list: inout JSONWriter) {
        list.object { json in
            json.member("name", name)
            json.member("has_workers", lags != nil)
            json.member("behind", behind)
            json.member("lag_seconds", Self.seconds(oldest))
            json.member("pending", pending)
            json.member("oldest_pending_seconds", Self.seconds(oldestPending))
            json.member("parked", parked)
            json.key("partitions")
            json.array { partitions in for lag in lags ?? [] { Self.write(lag, into: &partitions) } }
        }
    }

    private static func write(_ lag: PartitionLag, into list: inout JSONWriter) {
        list.object { json in
            json.member("partition", lag.partition)
            json.member("behind", lag.behind)
            json.member("lag_seconds", seconds(lag.oldestMilliseconds))
            json.member("pending", lag.pending)
            json.member("oldest_pending_seconds", seconds(lag.oldestPendingMilliseconds))
            json.member("parked", lag.parked)
            if let owner = lag.owner { json.member("owner", owner) }
            if let generation = lag.generation { json.member("generation", generation) }
        }
    }

    private static func seconds(_ milliseconds: Int?) -> Double { Double(milliseconds ?? 0) / 1000 }
}
