internal import Base
package import ChunkFiles
internal import EventSourcing
internal import Foundation
package import RedisLog

/// Where the bytes of a parked chunk lie: they stay in the spool until the chunk is stored.
package struct SpoolBytes {
    /// The file, for people.
    package let path: String
    /// Its length; nil when there is no such file.
    package let count: Int?

    /// Nil for events that name no file.
    package init?(of event: ParkedEvent, in spool: Spool) {
        guard let data = try? JSONValue(parsing: event.data), let relative = data["spool_path"]?.string,
            let path = try? spool.path(relative: relative)
        else { return nil }
        self.path = path
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        count = (attributes?[.size] as? NSNumber)?.intValue
    }
}
