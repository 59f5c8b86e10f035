import Foundation
import Testing

@Suite("Tidiness of the documents")
struct DocumentTests {
    private static let documents = SourceTree.files.filter { $0.path.hasSuffix(".md") }

    @Test("Lines have at most 110 columns")
    func columns() {
        #expect(Self.documents.count > 10)
        for file in Self.documents {
            for (number, line) in file.lines.enumerated() where line.count > 110 {
                Issue.record("\(file.path):\(number + 1) has \(line.count) columns")
            }
        }
    }

    @Test("The README has at most 150 lines")
    func readme() throws {
        let readme = try #require(Self.documents.first { $0.path == "README.md" })
        #expect(readme.lines.count - 1 <= 150)
    }

    @Test("Links within the repository lead somewhere")
    func links() {
        // A link's text may go over to the next line.
        let link = /\]\(([^)\s#]+)(?:#[^)\s]*)?\)/
        for file in Self.documents {
            let folder = SourceTree.root.appendingPathComponent(file.path).deletingLastPathComponent()
            for match in file.lines.joined(separator: "\n").matches(of: link) {
                let target = String(match.1)
                guard !target.contains("://") else { continue }
                let path = folder.appendingPathComponent(target).standardizedFileURL.path
                #expect(
                    FileManager.default.fileExists(atPath: path),
                    "\(file.path) links to \(target), which is not there")
            }
        }
    }

    @Test("Each decision is listed in the architecture")
    func decisions() throws {
        let architecture = try #require(Self.documents.first { $0.path == "ops/ARCHITECTURE.md" })
        let text = architecture.lines.joined(separator: "\n")
        for file in Self.documents where file.path.hasPrefix("ops/decisions/") {
            let name = file.path.dropFirst("ops/".count)
            #expect(text.contains("](\(name))"), "ops/ARCHITECTURE.md does not name \(name)")
        }
    }
}

/// `ops/docs/attacks.md` says which tests show what. A test that is renamed or removed is missed there.
@Suite("Tidiness of what was tried")
struct AttackDocumentTests {
    private static let path = "ops/docs/attacks.md"
    private static let sources: [String: SourceFile] = Dictionary(
        SourceTree.files.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })

    private struct Entry {
        let number: String
        var items: [Substring: String] = [:]
    }

    /// The entries, each line of theirs joined with what goes on below it.
    private func entries() throws -> [Entry] {
        let document = try #require(Self.sources[Self.path])
        var entries: [Entry] = []
        var item: Substring = ""
        for line in document.lines {
            if let heading = line.wholeMatch(of: /\*\*(\d+\.\d+) .+\*\*/) {
                entries.append(Entry(number: String(heading.1)))
                item = ""
            } else if let begun = line.wholeMatch(of: /- (\w+): (.*)/), !entries.isEmpty {
                item = begun.1
                #expect(entries[entries.count - 1].items[item] == nil, "\(item) twice: \(line)")
                entries[entries.count - 1].items[item] = String(begun.2)
            } else if line.hasPrefix("  "), !item.isEmpty {
                entries[entries.count - 1].items[item]?.append(line.dropFirst(1).description)
            } else {
                item = ""
            }
        }
        return entries
    }

    @Test("Every entry has its number and its four parts")
    func numbers() throws {
        let counts = [10, 8, 5, 12, 5]
        let expected = counts.enumerated().flatMap { chapter, count in
            (1...count).map { "\(chapter + 1).\($0)" }
        }
        let entries = try entries()
        #expect(entries.map(\.number) == expected)
        for entry in entries {
            #expect(Set(entry.items.keys) == ["Was", "Now", "Also", "Tests"], "\(entry.number)")
            #expect(entry.items["Now"]?.contains("](../decisions/") == true, "\(entry.number)")
        }
    }

    @Test("Every test that is named is there")
    func tests() throws {
        for entry in try entries() {
            let text = try #require(entry.items["Tests"])
            var file: SourceFile?
            var count = 0
            // A file, a script with one of its functions, or a title in the Swift file before it.
            for match in text.matches(of: /`([^`:]+)(?:::(\w+))?`|"([^"]+)"/) {
                if let path = match.1 {
                    file = Self.sources[String(path)]
                    let isTest = path.hasPrefix("Tests/")
                    #expect(file != nil && isTest, "\(entry.number) names \(path), which is no test")
                    guard let function = match.2 else { continue }
                    let isThere = file?.lines.contains { $0.hasPrefix("def \(function)(") } == true
                    #expect(isThere, "\(entry.number): \(path) has no function \(function)")
                    count += 1
                } else if let title = match.3 {
                    let isThere = file.map { Self.titles(of: $0).contains(String(title)) } == true
                    #expect(isThere, "\(entry.number): \(file?.path ?? "no file") has no test \"\(title)\"")
                    count += 1
                }
            }
            #expect(count > 0, "\(entry.number) names no test")
        }
    }

    @Test("Every type that is named is in the sources")
    func types() throws {
        let words = SourceTree.swift(under: "Sources").reduce(into: Set<Substring>()) { words, file in
            for line in file.lines {
                words.formUnion(line.split { !($0.isLetter || $0.isNumber) })
            }
        }
        for entry in try entries() {
            for match in (entry.items["Now"] ?? "").matches(of: /`([A-Z]\w*[a-z]\w*)`/) {
                #expect(words.contains(match.1), "\(entry.number): nothing is called \(match.1)")
            }
        }
    }

    @Test("Titles are told from other texts")
    func titlesAlone() {
        let file = SourceFile(
            path: "x.swift",
            lines: ["@Test(\"one\")", "    @Test(", "        \"two\", arguments: [1])", "let x = \"three\""])
        #expect(Self.titles(of: file) == ["one", "two"])
    }

    private static func titles(of file: SourceFile) -> Set<String> {
        let text = file.lines.joined(separator: "\n")
        return Set(text.matches(of: /@Test\(\s*"((?:[^"\\]|\\.)*)"/).map { String($0.1) })
    }
}
