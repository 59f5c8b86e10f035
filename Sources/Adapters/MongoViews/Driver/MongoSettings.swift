/// How to reach a MongoDB deployment, and how long to wait for it. Every wait has a limit.
public struct MongoSettings: Sendable {
    /// The connection string, `mongodb://…`; may carry credentials, so it is never printed.
    public var url: String
    /// How long to wait for a free connection of the pool.
    public var waitQueueTimeout_ms: Int32 = 2_000
    /// How long to look for a server that can take the operation.
    public var serverSelectionTimeout_ms: Int32 = 5_000
    /// How long a TCP connection may take to come about.
    public var connectTimeout_ms: Int32 = 2_000
    /// How long to wait for an answer; must exceed `writeTimeout_ms`.
    public var socketTimeout_ms: Int32 = 30_000
    /// How long a write may wait for the majority before it is reported as not durable.
    public var writeTimeout_ms: Int32 = 10_000
    /// The most connections the pool opens.
    public var maxPoolSize: Int32 = 32
    /// The name under which the server lists our connections.
    public var applicationName: String = "reel"

    /// Settings with the defaults above.
    public init(url: String) {
        self.url = url
    }
}
