internal import Base

/// A configuration file: lines `NAME=value`, names as in the environment. Empty lines and lines that
/// begin with `#` count for nothing; a value may stand in double or single quotes.
package struct ConfigurationFile: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var value: String
        var line: Int
    }

    /// Where it was read, for messages.
    package let path: String
    private(set) var entries: [String: Entry] = [:]
    private var badLines: [String] = []

    /// No file.
    package static let none = ConfigurationFile(path: "", text: "")

    /// Reads the text of a file.
    package init(path: String, text: String) {
        self.path = path
        // By scalars: as a character, carriage return and line feed are one of their own.
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, raw) in lines.enumerated() {
            let line = trimmed(Substring(raw))
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard line.allSatisfy({ $0 == "\t" || String($0).isOneLine }) else {
                badLines.append("\(path), line \(index + 1): has a control character")
                continue
            }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = trimmed(parts[0])
            guard parts.count == 2, !name.isEmpty else {
                badLines.append("\(path), line \(index + 1): must have the form NAME=value")
                continue
            }
            if entries[name] != nil { badLines.append("\(path), line \(index + 1): \(name) stands twice") }
            entries[name] = Entry(value: unquoted(trimmed(parts[1])), line: index + 1)
        }
    }

    /// Lines that are not understood, and names that nobody knows.
    func problems(knowing known: [String]) -> [String] {
        let strangers = entries.filter { !known.contains($0.key) }.sorted { $0.value.line < $1.value.line }
        return badLines
            + strangers.map { name, entry in
                let hint = suggestion(for: name, among: known).map { "; did you mean \($0)?" } ?? ""
                return "\(path), line \(entry.line): unknown name \(name)\(hint)"
            }
    }
}

private func trimmed(_ text: some StringProtocol) -> String {
    let body = text.drop(while: \.isWhitespace)
    guard let last = body.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(body[...last])
}

private func unquoted(_ text: String) -> String {
    guard text.count >= 2, let quote = text.first, quote == "\"" || quote == "'", text.last == quote else {
        return text
    }
    return String(text.dropFirst().dropLast())
}
