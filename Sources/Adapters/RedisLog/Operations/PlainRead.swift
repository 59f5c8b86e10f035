package import EventSourcing

extension RedisEventLog {
    /// The ceiling that reading the log is measured against: XRANGE over every partition on one connection,
    /// page by page, with nothing taken out of the entries but their ids. Answers how many there are.
    package func plainRead(pageSize: Int) throws(LogFailure) -> Int {
        let client = client("plain-read")
        var commands = CommandBuffer()
        var entries = 0
        for partition in 0..<partitioning.count {
            let key = LogKeys.log(partition)
            var after = LogPosition.start(of: partition).entryID
            while true {
                commands.removeAll()
                commands.command("XRANGE", key, "(" + after, "+", "COUNT", String(pageSize))
                var count = 0
                var last: String?
                try client.pipeline("plain read", key, commands) { _, reply throws(LogFailure) in
                    count = reply.count
                    if count > 0 { last = reply[count - 1]?[0]?.string }
                }
                entries += count
                guard let last, count == pageSize else { break }
                after = last
            }
        }
        return entries
    }
}
