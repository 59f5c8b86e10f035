package import Access
package import Base
package import EventSourcing
package import HTTPServer

/// One row of a table of routes: what is asked for, who may, how it is counted and recorded, and what
/// answers.
package struct Endpoint: Sendable {
    enum Handling: Sendable {
        /// Answers; may block.
        case answer(@Sendable (Call) throws -> Response)
        /// Answers what is at hand without ever blocking; where that is nil, as above.
        case answerAtOnce(@Sendable (Call) throws -> Response?, else: @Sendable (Call) throws -> Response)
        /// Takes the body as it comes in.
        case upload(@Sendable (Call) throws -> any BodySink)
    }

    /// Of what there is a record in the audit trail.
    package enum Trace: Sendable {
        /// That it was denied.
        case denials
        /// That it was done or not; events of the same request say the same.
        case command
        /// That it was done or not.
        case noted
        /// That recorded bytes were given out, before they are.
        case content
    }

    /// How records name what is asked for.
    package struct Naming: Sendable {
        /// Its kind.
        package var kind: String
        /// The parameter in the path that has its id; nil for none.
        package var parameter: String?
        /// The kind of resource whose id is that of the history that records name; nil where they name none.
        /// A history's id stands in the path as `{id}`.
        package var historyKind: String?
        package init(_ kind: String, in parameter: String? = nil, historyKind: String? = nil) {
            self.kind = kind
            self.parameter = parameter
            self.historyKind = historyKind
        }
    }

    let method: HTTPMethod
    /// The path's template, behind whatever prefix the service has.
    let path: String
    let permission: Permission
    let limit: RateClass
    let action: String
    let naming: Naming
    let trace: Trace
    let accepts: [String]
    let bodyLimit: UInt64?
    let handling: Handling

    /// An endpoint whose body, if it has one, is JSON.
    /// - Parameters:
    ///   - action: what records call it: at most 64 characters, words of `a` to `z` and `_` between dots.
    ///   - atOnce: what is tried first, on a thread that must not block; for endpoints of which there is a
    ///     record of denials alone.
    package init(
        _ method: HTTPMethod, _ path: String, _ permission: Permission, _ limit: RateClass,
        action: String, on naming: Naming, _ trace: Trace = .denials, takesJSON: Bool = false,
        atOnce: (@Sendable (Call) throws -> Response?)? = nil,
        answer: @escaping @Sendable (Call) throws -> Response
    ) {
        precondition(atOnce == nil || trace == .denials, "\(path): records may be waited for")
        precondition(Self.isAction(action), "\(path): \(action) is no action that a record can have")
        self.method = method
        self.path = path
        self.permission = permission
        self.limit = limit
        self.action = action
        self.naming = naming
        self.trace = trace
        accepts = takesJSON ? ["application/json"] : []
        bodyLimit = nil
        if let atOnce { handling = .answerAtOnce(atOnce, else: answer) } else { handling = .answer(answer) }
    }

    /// An endpoint that takes bytes.
    package init(
        upload path: String, _ permission: Permission, _ limit: RateClass, action: String,
        on naming: Naming, atMost bodyLimit: UInt64,
        open: @escaping @Sendable (Call) throws -> any BodySink
    ) {
        precondition(Self.isAction(action), "\(path): \(action) is no action that a record can have")
        method = .post
        self.path = path
        self.permission = permission
        self.limit = limit
        self.action = action
        self.naming = naming
        trace = .noted
        accepts = ["application/octet-stream"]
        self.bodyLimit = bodyLimit
        handling = .upload(open)
    }

    /// What the paths of the API begin with.
    package static let base = "/api/v1"

    /// Whether the id of a history that records name stands in the path.
    var namesHistory: Bool { naming.historyKind != nil && path.contains("{id}") }

    /// Whether records can call something that was done so.
    package static func isAction(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
                $0.first != nil && $0.first != UInt8(ascii: "_")
                    && $0.allSatisfy { (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") }
            }
    }

    /// The route, within its gate. Whose thing it is, the handler looks at.
    package func route(_ parts: GateParts, _ mount: Mount) -> Route {
        let gate = Gate(parts: parts, endpoint: self, mount: mount)
        let template = mount.prefix + path
        switch handling {
        case .answer(let answer):
            return Route(method, template, accepts: accepts, bodyLimit: bodyLimit) { request in
                try gate.answer(request, answer)
            }
        case .answerAtOnce(let first, let answer):
            return Route.attempt(method, template, accepts: accepts, bodyLimit: bodyLimit) { request in
                try gate.attempt(request, first, else: answer)
            }
        case .upload(let open):
            return Route.upload(method, template, accepts: accepts, bodyLimit: bodyLimit ?? 0) { request in
                try gate.open(request, open)
            }
        }
    }
}

/// Where a route is: of which service, below which prefix.
package struct Mount: Sendable {
    /// Name of the service.
    package let service: String
    /// What stands before the endpoint's path.
    package let prefix: String
    package init(service: String, prefix: String) {
        self.service = service
        self.prefix = prefix
    }
}

/// One request of somebody who is known.
package struct Call: Sendable {
    /// Where the route is.
    package let mount: Mount
    /// What was sent.
    package let request: Request
    /// Who asks.
    package let subject: Subject
    /// Until when the token holds; nil for ever.
    package let expires: Timestamp?
    /// What it takes.
    package let permission: Permission
    /// What the record of it says; nil where there is one of denials alone.
    package let notes: RequestNotes?

    /// What stands in the path, when it can be an id at all.
    package func identifier(_ name: String) -> String? {
        let text = request.parameter(name)
        return Identifier.isValid(text) ? text : nil
    }

    /// The query's items.
    package var parameters: [(name: String, value: String)] {
        request.query.items.map { ($0.name, $0.value) }
    }

    /// Whoever asked, in the events that come of it.
    package var context: EventContext {
        EventContext(
            source: "/reel/\(mount.service)", actor: Actor(type: "user", id: subject.id),
            traceparent: request.trace.traceparent, correlationID: request.id)
    }

    /// Refuses who may not do this to everything.
    package func requireAll() throws(ErrorInfo) {
        guard subject.may(permission) else {
            throw ErrorInfo(.notAllowed, "your role does not allow \(permission)")
        }
    }

    /// Refuses the parameters of a request that has none.
    package func requireNoParameters() throws(ErrorInfo) {
        guard let first = request.query.items.first else { return }
        throw ErrorInfo([Violation(String(first.name.prefix(64)), "is not a parameter of this request")])
    }
}
