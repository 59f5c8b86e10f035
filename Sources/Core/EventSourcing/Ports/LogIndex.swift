/// Values by key that an ordered subscription derives from the log and keeps beside it, apart for each
/// partition, together with the place that they are as of. Calls block; one thread.
///
/// Whoever wants all of them in memory reads them once (`scan`) and goes on with the log from that place.
package protocol LogIndex: AnyObject {
    /// The places that the values are as of; partitions of which nothing was written are absent.
    func places() throws(LogFailure) -> [Int: LogPosition]

    /// Sets values, takes others away, and moves the place, all at once or in parts of which the place moves
    /// with the last: whoever writes goes on from the place, and may write a part again.
    /// - Parameters:
    ///   - changes: keys of this partition with their new values; nil takes one away. The last of a key
    ///     counts. No key is empty.
    ///   - place: the last event that is contained.
    ///   - fence: without it, or while it holds; otherwise `fenced` is thrown.
    func write(
        _ changes: [(key: String, value: [UInt8]?)], upTo place: LogPosition, under fence: Fence?
    ) throws(LogFailure)

    /// The values of some keys of a partition; keys without one are absent.
    func values(_ keys: [String], in partition: Int) throws(LogFailure) -> [String: [UInt8]]

    /// All values of a partition, page by page.
    /// - Returns: a place up to which nothing is missing; some values may be as of a later one. Nil where
    ///   nothing was written yet.
    func scan(
        _ partition: Int, _ body: (_ page: [(key: String, value: [UInt8])]) -> Void
    ) throws(LogFailure) -> LogPosition?

    /// Forgets a partition, values and place, so that it is built again from the partition's beginning.
    func clear(_ partition: Int) throws(LogFailure)
}
