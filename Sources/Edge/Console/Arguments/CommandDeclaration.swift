/// Everything the command line knows of one command; parsing and help come from the same declaration.
package struct CommandDeclaration: Sendable {
    /// Its words: `["orders", "list"]`.
    package let path: [String]
    let summary: String
    let details: String
    let positionals: [Positional]
    private(set) var options: [OptionDeclaration]
    let examples: [String]
    let statuses: [String]
    /// Whether it refuses a bad value of any variable, also of those that it does not use itself.
    let checksEveryVariable: Bool

    /// A command from its parts; `statuses` are lines such as `1  the order does not exist`.
    package init(
        _ path: String..., summary: String, details: String = "", positionals: [Positional] = [],
        options: [OptionDeclaration], examples: [String], statuses: [String],
        checksEveryVariable: Bool = false
    ) {
        self.path = path
        self.summary = summary
        self.details = details
        self.positionals = positionals
        self.options = options
        self.examples = examples
        self.statuses = statuses
        self.checksEveryVariable = checksEveryVariable
    }

    /// The same with more options.
    package func adding(_ more: [OptionDeclaration]) -> CommandDeclaration {
        var declaration = self
        declaration.options += more
        return declaration
    }

    /// The names of its options.
    package var optionNames: [String] { options.map(\.name) }

    /// Its words with spaces between.
    package var name: String { path.joined(separator: " ") }
}

/// The program and its commands.
package struct ProgramDeclaration: Sendable {
    let name: String
    let version: String
    let summary: String
    let commands: [CommandDeclaration]
    package init(name: String, version: String, summary: String, commands: [CommandDeclaration]) {
        self.name = name
        self.version = version
        self.summary = summary
        self.commands = commands
    }

    /// Every option of any command that has a name in the environment, each name once.
    var variables: [OptionDeclaration] {
        var seen: Set<String> = []
        return commands.flatMap(\.options).filter { option in
            option.variable.map { seen.insert($0).inserted } ?? false
        }
    }
}

/// The command line, the environment or the configuration file asks for something that cannot be.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    /// What is wrong, each a sentence that names the value.
    package let problems: [String]
    /// The command whose help says more; nil for the program's.
    package let command: String?
    package init(_ problems: [String], command: String? = nil) {
        self.problems = problems.map(withoutCredentials)
        self.command = command
    }

    /// The problems, one a line.
    package var description: String { problems.joined(separator: "\n") }
}
