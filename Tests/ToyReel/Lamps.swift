import APIKit
import Access
import Base
import Console
import EventSourcing
import HTTPServer
import Hosting
import ReadModels

/// What happens to a lamp: it is made, and then tested.
enum LampEvent: Event {
    case made(id: String, colour: String)
    case tested(id: String, works: Bool)

    var subject: String {
        switch self {
        case .made(let id, _), .tested(let id, _): id
        }
    }

    var typeName: String { if case .made = self { "LampMade" } else { "LampTested" } }

    func version(at level: FormatLevel) -> Int? { 1 }

    func encode(_ version: Int, into writer: inout JSONWriter) {
        writer.object { json in
            json.member("lamp_id", subject)
            switch self {
            case .made(_, let colour): json.member("colour", colour)
            case .tested(_, let works): json.member("works", works)
            }
        }
    }

    init(type: String, version: Int, data: JSONValue) throws(MalformedEvent) {
        switch (type, data["lamp_id"]?.string, data["colour"]?.string, data["works"]?.bool) {
        case ("LampMade", let id?, let colour?, _): self = .made(id: id, colour: colour)
        case ("LampTested", let id?, _, let works?): self = .tested(id: id, works: works)
        default: throw MalformedEvent(type: type, text: "it lacks a field")
        }
    }
}

/// The rules: a lamp is made once.
enum LampRules: Decider {
    struct Taken: Error {}

    static let initial: LampEvent? = nil

    static func decide(_ command: LampEvent, _ state: LampEvent?) throws(Taken) -> [LampEvent] {
        if state != nil { throw Taken() }
        return [command]
    }

    static func evolve(_ state: inout LampEvent?, _ fact: LampEvent) { state = fact }
}

/// A lamp as it is shown.
struct Lamp: Sendable {
    let id: String
    let colour: String
    var works: Bool?
    var last: EventStamp

    init?(_ first: LampEvent, _ stamp: EventStamp) {
        guard case .made(let id, let colour) = first else { return nil }
        (self.id, self.colour, last) = (id, colour, stamp)
    }

    mutating func evolve(_ fact: LampEvent, _ stamp: EventStamp) {
        if case .tested(_, let works) = fact { self.works = works }
        last = stamp
    }

    func append(to builder: inout BSONBuilder) {
        builder.append("lamp_id", id)
        builder.append("colour", colour)
        builder.append("works", works)
        builder.append("updated_at", date_ms: last.time.milliseconds)
        builder.append("version", int64: Int64(clamping: last.sequence))
        builder.append("log_position", last.position.description)
    }

    init(_ fields: BSONFields) throws(BSONError) {
        (id, colour) = (try fields.string("lamp_id"), try fields.string("colour"))
        works = try fields.optionalBool("works")
        last = EventStamp(
            time: try fields.time("updated_at"), sequence: UInt64(try fields.count("version")),
            position: try fields.position("log_position"))
    }

    func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("lamp_id", id)
            json.member("colour", colour)
            json.nullable("works", works)
        }
    }

    static let view = View<LampEvent, Lamp>(
        .history,
        in: [
            ViewCollection(
                CollectionDeclaration(
                    "lamps", key: "lamp_id", history: "lamp_id",
                    indexes: [DocumentIndex([("colour", 1)])],
                    check: { (fields) throws(BSONError) in _ = try Lamp(fields) })
            ) { lamp in BSONDocument { lamp.append(to: &$0) } }
        ],
        identity: { ViewIdentity($0.id, version: $0.last.sequence, position: $0.last.position) },
        begin: { Lamp($0, $1) }, evolve: { $0.evolve($1, $2) },
        read: { (fields) throws(BSONError) in try Lamp(fields) })
}

extension Permission {
    static let useLamps = Permission("use_lamps", [.lampKeeper: .all])
}

extension Role { static let lampKeeper = Role("lamp_keeper") }

extension Domain {
    static let lamps: Domain = {
        var domain = Domain(Category("lamp"))
        domain.views = [CategoryViews(domain.category, decode: LampEvent.init).showing(Lamp.view)]
        domain.stages = [test]
        domain.roles = [.lampKeeper]
        domain.endpoints = { host in
            let lamp = Endpoint.Naming("lamp")
            return [
                Endpoint(
                    .get, "/lamps", .useLamps, .status, action: "lamp.list", on: lamp
                ) { call in try list(call, host) },
                Endpoint(
                    .post, "/lamps", .useLamps, .create, action: "lamp.make", on: lamp, .command,
                    takesJSON: true
                ) { call in
                    let json = try? JSONValue(parsing: call.request.body)
                    try make(json?["lamp_id"]?.string, json?["colour"]?.string, call.context, host)
                    return .empty(201)
                },
            ]
        }
        domain.commands = [
            HostedCommand(
                CommandDeclaration(
                    "lamps", summary: "Make a lamp", options: [id.declaration, colour.declaration],
                    examples: ["reel lamps --id l1 --colour red"], statuses: []),
                action: "lamp.make"
            ) { settings, host, context in
                try make(settings[id], settings[colour], context, host)
                return ["made"]
            }
        ]
        return domain
    }()

    private static let id = Setting("id", "ID", .identifier, isRequired: true, help: "Its id")
    private static let colour = Setting(
        "colour", "NAME", .text(upTo: 20), isRequired: true, help: "Its colour")

    /// No black lamp can be tested: such work is set aside.
    private static let test = HostedStage("test-lamp", consumes: ["LampMade"]) { event, _ in
        guard case .made(let id, let colour) = try LampEvent(event) else { return [] }
        if colour == "black" { throw ErrorInfo(.wrongState, "it gives no light") }
        return [LampEvent.tested(id: id, works: colour != "grey")]
    }

    private static func make(
        _ id: String?, _ colour: String?, _ context: EventContext, _ host: DomainHost
    ) throws {
        guard let id, let colour, Identifier.isValid(id) else {
            throw ErrorInfo([Violation("lamp_id", "is required, and colour")])
        }
        let handler = CommandHandler<LampRules>(
            partitionKey: lamps.category.key(of: id), store: host.store, clock: host.clock,
            decode: LampEvent.init)
        do throws(CommandError<LampRules.Taken>) {
            try handler.catchUp()
            try handler.handle([.made(id: id, colour: colour)], context: context) { _, _ in "\(id)/made" }
        } catch {
            if case .rejected = error { throw ErrorInfo(.existsAlready, "there is a lamp \(id)") }
            throw error
        }
    }

    private static func list(_ call: Call, _ host: DomainHost) throws -> Response {
        let filters = call.parameters.map { DocumentFilter.text($0.name, $0.value) }
        let lamps = try host.documents.documents(DocumentList(filters, Page(limit: 100)), in: "lamps")
            .map { fields in try Lamp(fields) }
        var writer = JSONWriter()
        writer.array { list in for lamp in lamps { lamp.encode(into: &list) } }
        return .json(writer.bytes)
    }
}
