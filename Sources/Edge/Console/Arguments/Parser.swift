/// What a command line asks for, before values are looked at.
package enum Request: Sendable {
    /// Help on the program, a group of commands or one command.
    case help(String)
    /// The program's version.
    case version(String)
    /// To run a command.
    case run(Invocation)
}

/// A command with what was given to it, unchecked.
package struct Invocation: Sendable {
    /// The command.
    package let command: CommandDeclaration
    /// Values by option name, in order; a flag has one empty value.
    var given: [String: [String]] = [:]
    /// Arguments by place.
    var positionals: [String] = []
    /// What was wrong with the options' form; reported together with bad values.
    var problems: [String] = []
}

extension ProgramDeclaration {
    /// Reads the arguments behind the program's name.
    /// - Parameter columns: width that help is wrapped to.
    package func parse(_ arguments: [String], columns: Int = 80) throws(UsageError) -> Request {
        guard let first = arguments.first else { return .help(help(columns: columns)) }
        if first == "--version" { return .version("\(name) \(version)") }
        if first == "--help" || first == "-h" { return .help(help(columns: columns)) }
        if first.hasPrefix("-") {
            throw UsageError(["unknown option \(first) before a command; options stand behind the command"])
        }
        if first == "help" {
            let words = Array(arguments.dropFirst().filter { !$0.hasPrefix("-") })
            return words.isEmpty
                ? .help(help(columns: columns)) : try parse(words + ["--help"], columns: columns)
        }
        let words = Array(arguments.prefix { !$0.hasPrefix("-") })
        let matches = commands.filter { words.starts(with: $0.path) }
        if let command = matches.max(by: { $0.path.count < $1.path.count }) {
            let rest = Array(arguments.dropFirst(command.path.count))
            return read(rest, for: command, columns: columns)
        }
        let group = commands.filter { $0.path.count > 1 && $0.path.first == first }
        guard !group.isEmpty else {
            let known = Set(commands.compactMap(\.path.first)).sorted()
            throw UsageError([unknown("command", first, among: known)])
        }
        if arguments.dropFirst().contains(where: { $0 == "--help" || $0 == "-h" }) {
            return .help(help(ofGroup: first, columns: columns))
        }
        let known = group.map { $0.path[1] }
        let list = known.joined(separator: ", ")
        guard words.count > 1 else { throw UsageError(["\(first) needs one of: \(list)"], command: first) }
        throw UsageError([unknown("command \(first)", words[1], among: known)], command: first)
    }

    private func read(_ arguments: [String], for command: CommandDeclaration, columns: Int) -> Request {
        var reader = ArgumentReader(command: command, left: arguments[...])
        reader.readAll()
        if reader.wantsHelp { return .help(help(of: command, columns: columns)) }
        return .run(reader.invocation)
    }
}

private func unknown(_ kind: String, _ text: String, among known: [String]) -> String {
    let hint = suggestion(for: text, among: known).map { "; did you mean \($0)?" } ?? ""
    return "unknown \(kind) \(text)\(hint)"
}

/// Goes through the arguments of one command.
private struct ArgumentReader {
    let command: CommandDeclaration
    var left: ArraySlice<String>
    var invocation: Invocation
    var wantsHelp = false

    init(command: CommandDeclaration, left: ArraySlice<String>) {
        self.command = command
        self.left = left
        invocation = Invocation(command: command)
    }

    mutating func readAll() {
        while let argument = left.popFirst() {
            if argument == "--" {
                for rest in left { positional(rest) }
                return
            }
            if argument == "--help" || argument == "-h" {
                wantsHelp = true
                return
            }
            if argument.hasPrefix("--") {
                long(String(argument.dropFirst(2)))
            } else if argument.hasPrefix("-"), argument != "-" {
                short(argument)
            } else {
                positional(argument)
            }
        }
    }

    private mutating func positional(_ text: String) {
        let isExpected = invocation.positionals.count < command.positionals.count
        if isExpected || command.positionals.last?.isRepeatable == true {
            invocation.positionals.append(text)
        } else {
            invocation.problems.append("unexpected argument \(text)")
        }
    }

    private mutating func long(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts.first ?? "")
        guard let option = command.options.first(where: { $0.name == name }) else {
            let known = command.options.map { "--\($0.name)" } + ["--help"]
            invocation.problems.append(unknown("option", "--\(name)", among: known))
            return
        }
        take(option, shownAs: "--\(name)", value: parts.count == 2 ? String(parts[1]) : nil)
    }

    /// `-o FILE`, `-oFILE`, `-f`.
    private mutating func short(_ argument: String) {
        let letter = argument[argument.index(after: argument.startIndex)]
        guard let option = command.options.first(where: { $0.short == letter }) else {
            invocation.problems.append("unknown option \(argument)")
            return
        }
        let rest = String(argument.dropFirst(2))
        take(option, shownAs: "-\(letter)", value: rest.isEmpty ? nil : rest)
    }

    private mutating func take(_ option: OptionDeclaration, shownAs shown: String, value: String?) {
        if invocation.given[option.name] != nil, !option.isRepeatable, !option.isFlag {
            invocation.problems.append("\(shown) is given twice")
        }
        if option.isFlag {
            if value != nil { invocation.problems.append("\(shown) takes no value") }
            invocation.given[option.name] = [""]
        } else if let value = value ?? next() {
            invocation.given[option.name, default: []].append(value)
        } else {
            invocation.problems.append("\(shown) needs a value: \(option.placeholder ?? "")")
        }
    }

    /// The next argument as a value. What looks like an option is one: a value that begins with dashes
    /// is given as `--key=--value`.
    private mutating func next() -> String? {
        guard let candidate = left.first, candidate == "-" || !candidate.hasPrefix("-") else { return nil }
        return left.popFirst()
    }
}
