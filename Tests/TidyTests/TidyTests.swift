import Foundation
import Testing

@Suite("Tidiness of the source tree")
struct TidyTests {
    @Test("No file has more than 500 lines, and nine of ten have at most 350")
    func sizes() throws {
        for part in ["Sources", "Tests"] {
            let sizes = SourceTree.swift(under: part).map { ($0.lines.count - 1, $0.path) }.sorted {
                $0.0 < $1.0
            }
            try #require(!sizes.isEmpty, "no sources found under \(part)")
            for (size, path) in sizes where size > 500 {
                Issue.record("\(path) has \(size) lines, more than 500")
            }
            let ninetieth = sizes[(sizes.count * 9 + 9) / 10 - 1]
            #expect(ninetieth.0 <= 350, "90th percentile of \(part), at \(ninetieth.1)")
        }
        for file in SourceTree.files where file.path.hasSuffix(".py") {
            #expect(file.lines.count - 1 <= 500, "\(file.path)")
        }
    }

    @Test("Lines have at most 110 columns")
    func columns() {
        for file in SourceTree.swift(under: "Sources") + SourceTree.swift(under: "Tests") {
            // A long literal, such as a published test vector, stays in one piece.
            for (number, line) in zip(file.lines, file.code).enumerated()
            where line.0.count > 110 && (line.1.count > 110 || !line.0.contains("\"")) {
                Issue.record("\(file.path):\(number + 1) has \(line.0.count) columns")
            }
        }
    }

    @Test("Files end with one newline and have no trailing spaces")
    func ends() {
        for file in SourceTree.swift(under: "Sources") + SourceTree.swift(under: "Tests") {
            #expect(file.lines.last == "", "\(file.path) does not end with a newline")
            #expect(file.lines.dropLast().last != "", "\(file.path) ends with an empty line")
            for (number, line) in file.lines.enumerated() where line.last == " " || line.last == "\t" {
                Issue.record("\(file.path):\(number + 1) ends with a space")
            }
        }
    }

    @Test("Every target's folder has a source")
    func noEmptyTargets() throws {
        for room in SourceTree.rooms.keys {
            #expect(!SourceTree.swift(ofRoom: room).isEmpty, "\(room)")
        }
        for folder in try SourceTree.folders(in: "Sources/System") {
            let files = SourceTree.files.filter { $0.path.hasPrefix("Sources/System/\(folder)/") }
            #expect(files.contains { $0.path.hasSuffix("module.modulemap") }, "Sources/System/\(folder)")
        }
        for folder in try SourceTree.folders(in: "Tests") where folder.hasSuffix("Tests") {
            #expect(!SourceTree.swift(under: "Tests/\(folder)").isEmpty, "Tests/\(folder)")
        }
    }

    @Test("No file names a folder of somebody's machine")
    func machinePaths() {
        // Put together here, so that this file doesn't hold them itself.
        let paths = ["work", "farm", "home/runner", "Users"].map { "/" + $0 + "/" }
        for file in SourceTree.files {
            for (number, line) in file.lines.enumerated() {
                for path in paths where line.contains(path) {
                    Issue.record("\(file.path):\(number + 1) holds \(path)")
                }
            }
        }
    }

    @Test("Nothing is public: a program is all that the package gives out")
    func nothingPublic() throws {
        for file in SourceTree.swift(under: "Sources") {
            for (number, line) in file.code.enumerated()
            where line.contains(/^\s*(@\w+(\(.*?\))?\s+)*(public|open) (\w|@)/) {
                Issue.record("\(file.path):\(number + 1) is public, and not of the package")
            }
        }
    }

    @Test("What other rooms may use says what it is")
    func documented() throws {
        let modifiers = #"^\s*(@\w+(\(.*?\))?\s+)*package (\w+(\(set\))? )*"#
        let declaration = try Regex(
            modifiers + #"(var|let|func|struct|enum|class|protocol|typealias|subscript|actor)\b"#)
        for file in SourceTree.swift(under: "Sources") {
            for (number, line) in file.code.enumerated() where line.contains(declaration) {
                var before = number - 1
                while before > 0, file.code[before].contains(/^\s*@\w+(\(.*\))?\s*$/) { before -= 1 }
                let text = file.lines[max(0, before)].trimmingCharacters(in: .whitespaces)
                if !text.hasPrefix("///") { Issue.record("\(file.path):\(number + 1) has no comment") }
            }
        }
    }

    @Test("Nothing is left for later")
    func nothingLeft() {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
        for file in SourceTree.files where !file.path.hasSuffix(".json") {
            for (number, line) in file.lines.enumerated() {
                for mark in marks where line.contains(mark) {
                    Issue.record("\(file.path):\(number + 1) holds \(mark)")
                }
            }
        }
    }
}

@Suite("Calls that are not made")
struct BannedCallTests {
    private func find(
        _ pattern: String, in files: [SourceFile], unless allowed: (SourceFile) -> Bool = { _ in false }
    ) throws {
        let regex = try Regex(pattern)
        for file in files where !allowed(file) {
            for (number, line) in file.code.enumerated() where line.contains(regex) {
                Issue.record("\(file.path):\(number + 1): \(line.trimmingCharacters(in: .whitespaces))")
            }
        }
    }

    private let sources = SourceTree.swift(under: "Sources")
    private let tests = SourceTree.swift(under: "Tests")

    @Test("Nothing crashes in place of an error")
    func traps() throws {
        try find(#"\btry!"#, in: sources + tests)
        try find(#"\bas!"#, in: sources + tests)
        try find(#"\bfatalError\("#, in: sources + tests)
        try find(#"\bunowned\(unsafe\)|\bunsafeBitCast\("#, in: sources + tests)
    }

    @Test("Tests wait for conditions, never for time")
    func sleeps() throws {
        try find(#"\b(Thread|Task)\.sleep\b"#, in: tests)
        // The one place for a pause is between two looks at a condition that has a limit.
        try find(#"\b(u|nano)?sleep\("#, in: tests) { file in
            file.code.contains { $0.contains("func eventually(") }
        }
    }

    @Test("Only the command line prints")
    func prints() throws {
        try find(#"(^|[^.\w])(debugPrint|print|dump|NSLog)\("#, in: sources) { file in
            file.path.hasPrefix(SourceTree.path("Commands/"))
        }
    }

    @Test("Formatters and coders of Foundation stay out of the hot layers")
    func slowFoundation() throws {
        let hot = ["EventSourcing", "Recording", "RedisLog", "Blobs", "Sealing", "Pipeline", "MongoViews"]
        let files = hot.flatMap { SourceTree.swift(ofRoom: $0) }
        try find(
            #"\b(JSONEncoder|JSONDecoder|JSONSerialization|DateFormatter|ISO8601DateFormatter)\b"#, in: files)
    }

    private func named(_ paths: String...) -> (SourceFile) -> Bool {
        let places = paths.map(SourceTree.path)
        return { file in places.contains { file.path == $0 || file.path.hasPrefix("\($0)/") } }
    }

    @Test("Sealed files are opened in one place, which checks them")
    func sealedFiles() throws {
        // What decrypts and decompresses has one user.
        try find(#"\bOpener\("#, in: sources, unless: named("ChunkFiles/SealedFileReader.swift"))
        try find(
            #"\bXChaCha20Poly1305\(\)"#, in: sources,
            unless: named(
                "Sealing/Opener.swift", "Sealing/Sealer.swift", "Sealing/KeyEncryptionKey.swift",
                "Sealing/SealedPassword.swift"))
        // Nobody finds a chunk's file by its path, which is for people.
        try find(#"\bchunks\.path\("#, in: sources)
        try find(
            #"\bSealedFileReader\("#, in: sources,
            unless: named(
                "SessionContent", "Pipeline/Stages/ChunkWorkshop.swift", "Gateway/Media/Media.swift"))
        // What it is checked against comes from the log, not from what is derived of it.
        try find(
            #"\bSealedChunk\(|\bRecordedChunk\("#, in: sources,
            unless: named("ChunkFiles", "SessionContent", "Pipeline/Stages/ChunkWorkshop.swift"))
    }

    @Test("Names of entries of folders are read in one place, which does not read beyond them")
    func entries() throws {
        try find(#"\bd_name\b"#, in: sources + tests) { file in
            file.path.hasSuffix("/DirectoryEntry.swift") || file.path.hasSuffix("/DirectoryEntryTests.swift")
        }
    }

    @Test("There is one lock, which the thread sanitizer sees into")
    func locks() throws {
        try find(#"\bMutex\b"#, in: sources + tests) { $0.path.hasSuffix("/Base/Lock.swift") }
    }

    @Test("Rooms that host domains have no word of one")
    func domainWords() throws {
        // HTTP and TLS have chunks and sessions of their own, and so has libmongoc.
        let rooms = [
            "APIKit", "Access", "Base", "Blobs", "Console", "Engine", "EventSourcing", "Files", "Metrics",
            "MongoViews", "ReadModels", "RedisLog", "Supervision",
        ]
        let word = try Regex("(?i)session|chunk")
        let library = try Regex("mongoc_client_(start_)?session")
        for file in rooms.flatMap(SourceTree.swift(ofRoom:)) {
            for (number, line) in file.lines.enumerated()
            where line.replacing(library, with: "").contains(word) {
                Issue.record("\(file.path):\(number + 1): \(line.trimmingCharacters(in: .whitespaces))")
            }
        }
    }

    @Test("Folders of the stores are worked in by descriptor")
    func descriptors() throws {
        try find(
            #"\bO_[A-Z]+\b|\b(fopen|creat|lstat|unlink|rmdir|opendir|symlink)\("#,
            in: ["Files", "Blobs", "Sealing", "ChunkFiles"].flatMap(SourceTree.swift(ofRoom:)),
            unless: named("Files/Files.swift", "Files/Folder.swift"))
    }

    @Test("Archived segments are read along the chain of hashes alone")
    func segments() throws {
        try find(
            #"\.(readFront|readSealed)\(|\bstore\.read\("#, in: SourceTree.swift(ofRoom: "RedisLog"),
            unless: named("RedisLog/Archive/Archive.swift"))
        try find(
            #"\.(readFront|readSealed)\("#, in: sources,
            unless: named(
                "RedisLog/Archive/Archive.swift", "Pipeline/Archive/FileSegmentStore.swift",
                "Simulation/InMemory/InMemorySegmentStore.swift"))
        try find(
            #"\bSegmentCursor\(|\bSegmentCoding\.decode\("#, in: sources,
            unless: named("RedisLog/Archive", "EventSourcing/Archive"))
    }

    /// Neither the models of tests and measurements, nor what makes them.
    private let products = SourceTree.swift(under: "Sources").filter { file in
        !["Simulation/", "HTTPLoad/", "/Bench"].contains { file.path.contains($0) }
    }

    @Test("No number with a fraction becomes a whole one by a conversion that traps")
    func conversions() throws {
        let lawful = "saturating:|clamping:|exactly:|truncatingIfNeeded:|bitPattern:"
        try find(#"\bU?Int(8|16|32|64)?\((?!\#(lawful)).*(\brounded\(|\bDouble\(|\de\d)"#, in: products)
    }

    @Test("Nobody reckons with moments but as their type does")
    func moments() throws {
        try find(#"\w\.milliseconds ([-+*]|[-+]=) "#, in: products) { file in
            // Positions in the log, and a stop watch.
            file.path.hasSuffix("/LivePlace.swift") || file.path.hasSuffix("/ChunkWorkshop.swift")
        }
    }

    @Test("What was read is added up without traps")
    func sums() throws {
        let folders = [
            "Recording/ReadModels", "Recording/Statistics", "Recording/Retention", "MongoViews/Documents",
        ]
        let files = folders.flatMap { SourceTree.swift(ofRoom: $0) }
        // But for two counts of what is in memory, one by one.
        try find(#"^(?!.*\b(differences|repairs) \+= 1$).*[\w\])] [-+*]= "#, in: files)
    }

    @Test("The scanner sees calls, and no comments or literals")
    func scanner() {
        let cases: [(String, String)] = [
            ("let a = b // as! c", "let a = b "),
            (#"let a = "as! \" as!" as! B"#, #"let a = "" as! B"#),
            (##"let a = #"try!" try!"# + c"##, #"let a = "" + c"#),
            ("a /* try! /* x */ try! */ b", "a  b"),
        ]
        for (line, expected) in cases {
            var scanner = CodeScanner()
            #expect(scanner.code(of: line) == expected)
        }
        var scanner = CodeScanner()
        let lines = ["let a = \"\"\"", "    try! x", "    \"\"\"; try! y", "/* try!", "*/ z"]
        #expect(lines.map { scanner.code(of: $0) } == ["let a = ", "", "; try! y", "", " z"])
    }
}

@Suite("Schemas of the log's events")
struct SchemaTests {
    /// The names in the sets that the events' enums declare, and constants of single types.
    private func eventTypes() throws -> Set<String> {
        var types: Set<String> = []
        let word = try Regex(#""([A-Z][A-Za-z]+)""#, as: (Substring, Substring).self)
        for file in SourceTree.swift(ofRoom: "Recording/Events") {
            var inside = false
            for line in file.lines {
                if line.contains("typeNames: Set<String> = [") { inside = true }
                if inside || line.contains("static let typeName = ") {
                    for match in line.matches(of: word) { types.insert(String(match.output.1)) }
                }
                if line.contains("]") { inside = false }
            }
        }
        return types
    }

    @Test("Every event type has a schema and a golden file")
    func everyType() throws {
        let types = try eventTypes()
        try #require(types.count >= 20)
        let paths = Set(SourceTree.files.map(\.path))
        for type in types {
            #expect(paths.contains("schemas/events/\(type).v1.json"))
            #expect(paths.contains("schemas/events/golden/\(type).v1.json"))
        }
        #expect(paths.contains("schemas/events/cloudevent.json"))
    }
}
