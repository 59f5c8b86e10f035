import Operations
import Base
import Console
import EventSourcing
import RedisLog
import ReadModels
import Recording
import ChunkFiles

/// Settings that the commands on parked events share.
enum ParkedOptions {
    static let session = Setting("session", "SESSION", .identifier, help: "Only events of this session")
    static let stage = Setting(
        "stage", "STAGE", .oneOf(SubscriptionRegistry.all.parking.map(\.name)),
        help: "Only what this stage, or this subscription, has set aside")
    static let olderThan = Setting(
        "older-than", "AGE", .duration, help: "Only what was set aside longer ago: 90s, 15m, 1h, 2d")
    static let all = Flag("all", help: "Everything that is parked; needs --yes")
    static let yes = Flag("yes", short: "y", help: "Yes, really")

    static let id = Rule<String>("must be an id that 'reel parked list' shows, such as store/p003/1763-0") {
        ParkedID($0, of: .all) == nil ? nil : $0
    }
    static let filters = [session.declaration, stage.declaration, olderThan.declaration]
    static let noneStatus = "1  nothing such is parked, or something was refused"

    static func selection(_ settings: Settings) -> ParkedSelection {
        let now = SystemClock().now().milliseconds
        return ParkedSelection(
            session: settings[session], stage: settings[stage],
            parkedBefore: settings[olderThan].map { Timestamp(milliseconds: now - Int64($0)) })
    }

    static func service(_ system: RunningSystem) throws -> ParkedService {
        try ParkedService(system.log, .all, clock: SystemClock(), actor: CurrentUser.actor)
    }
}

/// `reel parked list`: what was given up and set aside.
enum ParkedListCommand: Command {
    static let declaration = CommandDeclaration(
        "parked", "list", summary: "List events that were set aside after their last try",
        details: "A chunk that a stage cannot handle is set aside with its error; its session waits in "
            + "'processing', and everything else goes on. Mend the cause and retry it, or discard it.",
        options: ParkedOptions.filters + [
            SessionsListCommand.limit.declaration, SessionsListCommand.offset.declaration,
            Common.json.declaration,
        ] + Common.places,
        examples: ["reel parked list", "reel parked list --stage store --older-than 1h --json"],
        statuses: [
            "1  a key that says what is parked holds something else than Reel wrote; each was named, and the "
                + "rest was shown",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let page = Page(
            limit: try settings.require(SessionsListCommand.limit),
            offset: try settings.require(SessionsListCommand.offset))
        let service = try ParkedOptions.service(try RunningSystem(settings))
        var shown: [ParkedEvent] = []
        var total = 0
        var status = ExitStatus.success
        func name(_ failure: LogFailure) {
            Output.error(Table.printable("reel parked list: \(failure.key): \(failure.text)"))
            status = .no
        }
        try service.forEach(ParkedOptions.selection(settings), unreadable: name) { event in
            if total >= page.offset, shown.count < page.limit { shown.append(event) }
            total += 1
        }
        let now = SystemClock().now()
        if settings[Common.json] {
            var writer = JSONWriter()
            writer.object { json in
                json.key("parked")
                json.array { list in
                    for event in shown {
                        ParkedPrinting.write(event, isWhole: false, at: now, nil, into: &list)
                    }
                }
                PaginationInfo(page, total: total).encode(into: &json)
            }
            try Output.line(writer)
            return status
        }
        var table = Table("ID", "SUBJECT", "EVENT", ">TRIES", ">AGE", "ERROR")
        for event in shown { ParkedPrinting.add(event, at: now, to: &table) }
        try Output.table(table, empty: "nothing is parked")
        if page.offset + shown.count < total {
            Output.error(
                "\(page.offset + shown.count) of \(total) shown; go on with --offset \(page.offset + page.limit)"
            )
        }
        return status
    }
}

/// `reel parked show`: one of them with everything that is known.
enum ParkedShowCommand: Command {
    static let declaration = CommandDeclaration(
        "parked", "show", summary: "Show one parked event with its error, causes and bytes",
        positionals: [Positional("ID", ParkedOptions.id, help: "Id of the parked event")],
        options: [Common.json.declaration] + Common.places,
        examples: ["reel parked show store/p003/1763687792123-0"],
        statuses: ["1  it is not parked", Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let text = settings.positional(0) ?? ""
        guard let id = ParkedID(text, of: .all), let event = try ParkedOptions.service(system).find(id) else {
            throw CommandFailure(.no, "\(text) is not parked")
        }
        let bytes = SpoolBytes(of: event, in: try Spool(root: system.endpoints.spool))
        let now = SystemClock().now()
        guard settings[Common.json] else {
            try Output.line(ParkedPrinting.text(event, at: now, bytes))
            return .success
        }
        var writer = JSONWriter()
        ParkedPrinting.write(event, isWhole: true, at: now, bytes, into: &writer)
        try Output.line(writer)
        return .success
    }
}

/// `reel parked retry`: brings events back to where they failed.
enum ParkedRetryCommand: Command {
    static let declaration = CommandDeclaration(
        "parked", "retry", summary: "Try parked events again, once the cause is mended",
        details: "The event goes back to the stage that gave it up, its tries counted anew, and the log says "
            + "who asked for it. Later events of its session go on in order after it.",
        positionals: [ParkedSettling.place],
        options: ParkedSettling.options + Common.places,
        examples: ["reel parked retry store/p003/1763687792123-0", "reel parked retry --all --yes"],
        statuses: [ParkedOptions.noneStatus, Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        try ParkedSettling.run(settings, declaration.name, "retried") { service, event in
            try service.retry(event)
        }
    }
}

/// `reel parked discard`: gives events up for good.
enum ParkedDiscardCommand: Command {
    static let reason = Setting(
        "reason", "TEXT", .text(upTo: 500), defaultNote: "that it was discarded", help: "Why, for the log")

    static let declaration = CommandDeclaration(
        "parked", "discard", summary: "Give parked events up; their sessions fail",
        details: "A session that lacks a chunk can't be completed: it becomes 'failed', with the reason and "
            + "who asked for it in the log. What was stored of it stays.",
        positionals: [ParkedSettling.place],
        options: ParkedSettling.options + [reason.declaration] + Common.places,
        examples: [
            "reel parked discard store/p003/1763687792123-0 --reason 'disk lost'",
            "reel parked discard --session sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D",
        ],
        statuses: [ParkedOptions.noneStatus, Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        try ParkedSettling.run(settings, declaration.name, "discarded") { service, event in
            try service.discard(event, reason: settings[reason])
        }
    }
}

/// What retrying and discarding have in common.
private enum ParkedSettling {
    static let place = Positional(
        "ID", ParkedOptions.id, isRequired: false, help: "Id of a parked event; or options that pick some")
    static let options =
        ParkedOptions.filters + [
            ParkedOptions.all.declaration, ParkedOptions.yes.declaration, Common.json.declaration,
        ]

    static func run(
        _ settings: Settings, _ command: String, _ done: StaticString,
        _ settle: (ParkedService, ParkedEvent) throws -> ParkedService.Verdict
    ) throws -> ExitStatus {
        let events = try picked(settings, command)
        let service = try ParkedOptions.service(try RunningSystem(settings, for: .changing))
        var count = 0
        var refused: [(ParkedID, String)] = []
        let settleOne = { (event: ParkedEvent) in
            switch try settle(service, event) {
            case .done: count += 1
            case .gone: break
            case .refused(let reason): refused.append((ParkedID(event), reason))
            }
        }
        switch events {
        case .one(let id): try service.find(id).map(settleOne)
        case .some(let selection): try service.forEach(selection, settleOne)
        }
        if settings[Common.json] {
            var writer = JSONWriter()
            writer.object { json in
                json.member(done, count)
                json.key("refused")
                json.array { list in
                    for (id, reason) in refused {
                        list.object { json in
                            json.member("id", id.description)
                            json.member("reason", reason)
                        }
                    }
                }
            }
            try Output.line(writer)
        } else {
            try Output.line("\(Quantity.grouped(count)) \(done)")
        }
        for (id, reason) in refused { Output.error("reel \(command): \(id): \(reason)") }
        if count == 0, refused.isEmpty { Output.error("reel \(command): nothing such is parked") }
        return count > 0 && refused.isEmpty ? .success : .no
    }

    private enum Picked {
        case one(ParkedID)
        case some(ParkedSelection)
    }

    private static func picked(_ settings: Settings, _ command: String) throws -> Picked {
        let given = settings.positional(0).flatMap { ParkedID($0, of: .all) }
        let hasFilter =
            settings[ParkedOptions.session] != nil || settings[ParkedOptions.stage] != nil
            || settings[ParkedOptions.olderThan] != nil
        let all = settings[ParkedOptions.all]
        switch (given, hasFilter, all) {
        case (let id?, false, false): return .one(id)
        case (nil, true, false): return .some(ParkedOptions.selection(settings))
        case (nil, false, true):
            guard settings[ParkedOptions.yes] else {
                throw UsageError(["--all takes everything that is parked: add --yes"], command: command)
            }
            return .some(ParkedSelection())
        default:
            throw UsageError(
                ["say which: an ID, or --session, --stage, --older-than, or --all --yes"], command: command)
        }
    }
}
