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
