extension ProgramDeclaration {
    /// Help on the program: what it is and what its commands are.
    func help(columns: Int) -> String {
        let rows = commands.map { ($0.name, $0.summary) }
        return """
            \(wrap(summary, columns: columns))

            Usage: \(name) COMMAND [options]

            Commands:
            \(twoColumns(rows, columns: columns))

            '\(name) COMMAND --help' says more about one; '\(name) --version' prints the version.
            """
    }

    /// Help on a group of commands.
    func help(ofGroup group: String, columns: Int) -> String {
        let rows = commands.filter { $0.path.first == group }.map { ($0.name, $0.summary) }
        return """
            Usage: \(name) \(group) COMMAND [options]

            Commands:
            \(twoColumns(rows, columns: columns))
            """
    }

    /// Help on one command, from its declaration.
    func help(of command: CommandDeclaration, columns: Int) -> String {
        var sections = ["Usage: \(name) \(command.usage)", wrap(command.summary + ".", columns: columns)]
        if !command.details.isEmpty {
            let paragraphs = command.details.split(separator: "\n").map { wrap(String($0), columns: columns) }
            sections.append(paragraphs.joined(separator: "\n\n"))
        }
        if !command.positionals.isEmpty {
            let rows = command.positionals.map { ($0.name, $0.help) }
            sections.append("Arguments:\n" + twoColumns(rows, columns: columns))
        }
        let rows = command.options.map { ($0.left, $0.right) } + [("-h, --help", "Show this help")]
        sections.append("Options:\n" + twoColumns(rows, columns: columns))
        if !command.examples.isEmpty {
            sections.append("Examples:\n" + command.examples.map { "  \($0)" }.joined(separator: "\n"))
        }
        let statuses = ["0  success"] + command.statuses
        sections.append("Exit status:\n" + statuses.map { "  \($0)" }.joined(separator: "\n"))
        return sections.joined(separator: "\n\n")
    }
}

extension CommandDeclaration {
    fileprivate var usage: String {
        let places = positionals.map { place in
            let name = place.isRepeatable ? "\(place.name)…" : place.name
            return place.isRequired ? name : "[\(name)]"
        }
        let required = options.filter(\.isRequired).map { "--\($0.name) \($0.placeholder ?? "")" }
        return ([name] + places + required + ["[options]"]).joined(separator: " ")
    }
}

extension OptionDeclaration {
    fileprivate var left: String {
        let long = placeholder.map { "--\(name) \($0)" } ?? "--\(name)"
        return short.map { "-\($0), \(long)" } ?? long
    }

    fileprivate var right: String {
        var text = help
        if isRequired { text += " (required)" }
        if isRepeatable { text += " (may be given more than once)" }
        if let note = defaultText ?? defaultNote { text += " [default: \(note)]" }
        if let variable { text += " [env: \(variable)]" }
        return text
    }
}

/// Rows of a term and its explanation, the latter wrapped beside the former.
private func twoColumns(_ rows: [(String, String)], columns: Int) -> String {
    let limit = 26
    let width = min(limit, rows.map(\.0.count).max() ?? 0)
    let indent = String(repeating: " ", count: width + 4)
    return rows.map { left, right in
        let text = wrap(right, columns: max(30, columns - width - 4))
            .split(separator: "\n").joined(separator: "\n\(indent)")
        if left.count > width { return "  \(left)\n\(indent)\(text)" }
        return "  \(left)\(String(repeating: " ", count: width - left.count + 2))\(text)"
    }.joined(separator: "\n")
}

/// Breaks text at spaces into lines of at most `columns` characters.
func wrap(_ text: String, columns: Int) -> String {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
        if !line.isEmpty, line.count + 1 + word.count > columns {
            lines.append(line)
            line = ""
        }
        line += line.isEmpty ? String(word) : " \(word)"
    }
    if !line.isEmpty { lines.append(line) }
    return lines.joined(separator: "\n")
}
