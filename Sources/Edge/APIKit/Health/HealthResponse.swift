package import Base
internal import EventSourcing

/// How something is.
package enum HealthStatus: String, Sendable, CaseIterable {
    /// It works.
    case healthy
    /// It works, and not as it should.
    case degraded
    /// It does not work.
    case unhealthy

    /// The worst of several; healthy when there is none.
    package static func worst(of all: some Sequence<HealthStatus>) -> HealthStatus {
        all.reduce(.healthy) { worst, next in
            next == .unhealthy || worst == .healthy ? next : worst
        }
    }
}

/// How one part of the system is.
package struct ServiceHealth: Sendable, Hashable {
    /// How it is.
    package var status: HealthStatus
    /// When it was looked at.
    package var lastCheck: Timestamp
    /// Milliseconds that it took to answer.
    package var response_ms: Double?
    /// Why it is not healthy; holds no secret.
    package var errorMessage: String?
    package init(
        _ status: HealthStatus, at lastCheck: Timestamp, response_ms: Double? = nil,
        errorMessage: String? = nil
    ) {
        self.status = status
        self.lastCheck = lastCheck
        self.response_ms = response_ms
        self.errorMessage = errorMessage
    }

    fileprivate func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("status", status.rawValue)
            json.member("last_check", lastCheck)
            json.nullable("response_time_ms", response_ms)
            json.nullable("error_message", errorMessage)
        }
    }
}

/// `HealthResponse`: how the system is, part by part.
package struct HealthResponse: Sendable, Hashable {
    /// When it was put together.
    package var timestamp: Timestamp
    /// Services by name: the event log, the projector …
    package var services: [String: ServiceHealth]
    /// Databases by name.
    package var database: [String: ServiceHealth]
    /// Places where files are kept, by name.
    package var storage: [String: ServiceHealth]
    package init(
        timestamp: Timestamp, services: [String: ServiceHealth] = [:],
        database: [String: ServiceHealth] = [:], storage: [String: ServiceHealth] = [:]
    ) {
        self.timestamp = timestamp
        self.services = services
        self.database = database
        self.storage = storage
    }

    /// The worst of its parts.
    package var status: HealthStatus {
        HealthStatus.worst(of: [services, database, storage].flatMap { $0.values.map(\.status) })
    }

    /// Writes the object, the parts in the order of their names.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("status", status.rawValue)
            json.member("timestamp", timestamp)
            json.key("services")
            Self.encode(services, into: &json)
            json.key("database")
            Self.encode(database, into: &json)
            json.key("storage")
            Self.encode(storage, into: &json)
        }
    }

    private static func encode(_ parts: [String: ServiceHealth], into json: inout JSONWriter) {
        json.object { json in
            for (name, health) in parts.sorted(by: { $0.key < $1.key }) {
                json.key(dynamic: name)
                health.encode(into: &json)
            }
        }
    }
}
