import Console

/// A small program with every kind of option.
enum Fixture {
    static let name = Setting("name", "NAME", .text(upTo: 8), isRequired: true, help: "The session's name")
    static let size = Setting(
        "chunk-size", "MB", .megabytes(atLeastBytes: 1024, atMostMegabytes: 100), variable: "SIZE_MB",
        default: "10", help: "Largest size of a chunk")
    static let codec = Setting(
        "codec", "CODEC", .oneOf(["none", "zstd"]), variable: "CODEC", default: "zstd", help: "The codec")
    static let tag = Setting("tag", "TAG", .text(upTo: 5), isRepeatable: true, help: "A tag")
    static let output = Setting("output", "FILE", .path, short: "o", help: "Where to")
    static let url = Setting(
        "redis-url", "URL", .url(["redis"]), variable: "REDIS_URL", help: "The server")
    static let json = Flag("json", help: "JSON instead of a table")
    static let follow = Flag("follow", short: "f", help: "Go on")

    static let record = CommandDeclaration(
        "record", summary: "Record a file", positionals: [Positional("FILE", .path, help: "what to record")],
        options: [
            name.declaration, size.declaration, codec.declaration, tag.declaration, output.declaration,
            url.declaration, json.declaration, follow.declaration,
        ],
        examples: ["demo record a.bin --name a"], statuses: ["1  the answer is no"])

    static let list = CommandDeclaration(
        "sessions", "list", summary: "List sessions", options: [json.declaration], examples: [], statuses: [])

    static let up = CommandDeclaration(
        "up", summary: "Start everything", options: [], examples: [], statuses: [], checksEveryVariable: true)

    static let program = ProgramDeclaration(
        name: "demo", version: "1.2", summary: "A demo", commands: [record, list, up])

    static func settings(
        _ arguments: String..., environment: [String: String] = [:], file: String = ""
    ) throws -> Settings {
        guard case .run(let invocation) = try program.parse(arguments) else {
            throw UsageError(["help instead of a command"])
        }
        return try Settings(
            invocation, of: program, environment: { environment[$0] },
            file: ConfigurationFile(path: "demo.conf", text: file))
    }

    /// The problems of a command line that must be refused.
    static func problems(
        _ arguments: String..., environment: [String: String] = [:], file: String = ""
    ) -> [String] {
        do {
            guard case .run(let invocation) = try program.parse(arguments) else { return ["help"] }
            _ = try Settings(
                invocation, of: program, environment: { environment[$0] },
                file: ConfigurationFile(path: "demo.conf", text: file))
            return []
        } catch { return error.problems }
    }
}
