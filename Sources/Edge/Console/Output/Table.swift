internal import Base

/// Rows in columns for people to read.
package struct Table: Sendable {
    /// On which side a column's text stands.
    package enum Alignment: Sendable {
        /// Words.
        case left
        /// Numbers.
        case right
    }

    private let titles: [String]
    private let alignments: [Alignment]
    private var rows: [[String]] = []

    /// An empty table; a title that begins with `>` makes its column stand on the right.
    package init(_ titles: String...) {
        self.titles = titles.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }
        alignments = titles.map { $0.hasPrefix(">") ? .right : .left }
    }

    /// Whether it has no row.
    package var isEmpty: Bool { rows.isEmpty }

    /// Adds a row; cells beyond the titles are left out, missing ones are empty.
    package mutating func add(_ cells: String...) {
        rows.append(titles.indices.map { $0 < cells.count ? Self.printable(cells[$0]) : "" })
    }

    /// The lines, titles first; each ends without spaces. `columns` cuts lines that are too long.
    package func render(columns: Int? = nil) -> [String] {
        let all = [titles] + rows
        let widths = titles.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line +=
                    (column == 0 ? "" : "  ")
                    + (alignments[column] == .left ? cell + padding : padding + cell)
            }
            while line.last == " " { line.removeLast() }
            guard let columns, line.count > columns, columns > 1 else { return line }
            return line.prefix(columns - 1) + "…"
        }
    }

    /// The text without control characters: a name that somebody chose must not move the cursor, ring
    /// the bell or break the line.
    package static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: \.isControl) else { return text }
        var clean = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { clean.append(scalar.isControl ? "\u{FFFD}" : scalar) }
        return String(clean)
    }
}
