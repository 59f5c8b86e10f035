/// How to reach a MongoDB deployment, and how long to wait for it. Every wait has a limit.
package struct MongoSettings: Sendable {
    /// The connection string, `mongodb://…`; may carry credentials, so it is never printed.
    package var url: String
    /// How long to wait for a free connection of the pool.
    package var waitQueueTimeout_ms: Int32 = 2_000
    /// How long to look for a server that can take the operation.
    package var serverSelectionTimeout_ms: Int32 = 5_000
    /// How long a TCP connection may take to come about.
    package var connectTimeout_ms: Int32 = 2_000
    /// How long to wait for an answer; must exceed `writeTimeout_ms`.
    package var socketTimeout_ms: Int32 = 30_000
    /// How long a write may wait for the majority before it is reported as not durable.
    package var writeTimeout_ms: Int32 = 10_000
    /// The most connections the pool opens.
    package var maxPoolSize: Int32 = 32
    /// The name under which the server lists our connections.
    package var applicationName: String = "reel"

    /// Settings with the defaults above.
    package init(url: String) {
        self.url = url
    }
}
