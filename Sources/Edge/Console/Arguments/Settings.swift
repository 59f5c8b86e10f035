/// The values a command runs with: every one checked, from the nearest source that has it.
package struct Settings: Sendable {
    private var values: [String: [String]] = [:]
    /// Arguments by place, checked.
    package private(set) var positionals: [String] = []
    /// The command they are for.
    package let command: CommandDeclaration
    /// Options whose values on the command line hold a password, which every user of the machine can read
    /// there as long as the process lives.
    package private(set) var exposedOptions: [String] = []

    /// The value of a setting; the last one when it was given more than once.
    package subscript<Value>(_ setting: Setting<Value>) -> Value? {
        values[setting.declaration.name]?.last.flatMap(setting.rule.parse)
    }

    /// Every value of a setting that may be given more than once.
    package func all<Value>(_ setting: Setting<Value>) -> [Value] {
        (values[setting.declaration.name] ?? []).compactMap(setting.rule.parse)
    }

    /// The value of a setting that the command cannot do without.
    package func require<Value>(_ setting: Setting<Value>) throws(UsageError) -> Value {
        guard let value = self[setting] else {
            throw UsageError(["--\(setting.declaration.name) is missing"], command: command.name)
        }
        return value
    }

    /// Whether a flag was given.
    package subscript(_ flag: Flag) -> Bool { values[flag.declaration.name] != nil }

    /// The argument at a place; nil when it was not given.
    package func positional(_ index: Int) -> String? {
        positionals.indices.contains(index) ? positionals[index] : nil
    }

    /// Gathers the values of `invocation`, and checks them all.
    /// - Parameters:
    ///   - environment: looks a variable up; empty counts as not set.
    ///   - file: the configuration file.
    /// - Throws: everything that is wrong at once.
    package init(
        _ invocation: Invocation, of program: ProgramDeclaration,
        environment: (String) -> String?, file: ConfigurationFile
    ) throws(UsageError) {
        command = invocation.command
        var problems = invocation.problems
        let known = program.variables.compactMap(\.variable)
        problems += file.problems(knowing: known)
        for option in command.options {
            if let given = invocation.given[option.name] {
                values[option.name] = given
                if given.contains(where: { withoutCredentials($0) != $0 }) {
                    let variable = option.variable.map { " (\($0))" } ?? ""
                    exposedOptions.append("--\(option.name)\(variable)")
                }
                for text in given where !option.fits(text) {
                    problems.append("--\(option.name)\(option.shown(text)): \(option.ruleText)")
                }
            } else if let found = option.lookUp(environment, file) {
                values[option.name] = [found.text]
                if !option.fits(found.text) { problems.append(found.complaint(option)) }
            } else if let text = option.defaultText {
                values[option.name] = [text]
            } else if option.isRequired {
                let names = option.variable.map { "--\(option.name) (\($0))" } ?? "--\(option.name)"
                problems.append("\(names) is missing: \(option.help)")
            }
        }
        if command.checksEveryVariable {
            let own = Set(command.options.compactMap(\.variable))
            for option in program.variables where !own.contains(option.variable ?? "") {
                if let found = option.lookUp(environment, file), !option.fits(found.text) {
                    problems.append(found.complaint(option))
                }
            }
        }
        positionals = invocation.positionals
        for (index, place) in command.positionals.enumerated() {
            if index >= positionals.count, place.isRequired {
                problems.append("\(place.name) is missing: \(place.help)")
            }
            let given =
                place.isRepeatable ? positionals.dropFirst(index) : positionals.dropFirst(index).prefix(1)
            for text in given where place.rule.parse(text) == nil {
                problems.append("\(place.name) \(shown(text)): \(place.rule.text)")
            }
        }
        if !problems.isEmpty { throw UsageError(problems, command: command.name) }
    }
}

/// A value as it is repeated in a message: quoted, short, and on one line.
private func shown(_ text: String) -> String {
    let clean = text.map { $0.isNewline ? " " : $0 }
    return "'\(String(clean.prefix(60)))\(clean.count > 60 ? "…" : "")'"
}

/// A value from the environment or the configuration file.
private struct FoundValue {
    let text: String
    let origin: String

    func complaint(_ option: OptionDeclaration) -> String {
        "\(origin)\(option.shown(text)): \(option.ruleText)"
    }
}

extension OptionDeclaration {
    /// A bad value as a message repeats it, with a space in front. One of a URL may hold a password in any
    /// form, so that it is not repeated at all.
    fileprivate func shown(_ text: String) -> String {
        placeholder == "URL" ? "" : " \(Console.shown(text))"
    }

    fileprivate func lookUp(
        _ environment: (String) -> String?, _ file: ConfigurationFile
    ) -> FoundValue? {
        guard let variable else { return nil }
        if let text = environment(variable), !text.isEmpty {
            return FoundValue(text: text, origin: variable)
        }
        guard let entry = file.entries[variable] else { return nil }
        return FoundValue(text: entry.value, origin: "\(variable) (\(file.path), line \(entry.line))")
    }
}

extension Invocation {
    /// The value that an option was given, before anything is checked: for finding the configuration
    /// file that the check depends on.
    package func given<Value>(_ setting: Setting<Value>) -> String? {
        given[setting.declaration.name]?.last
    }
}
