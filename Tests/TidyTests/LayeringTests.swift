import Testing

/// The floors of the house, and the floors whose rooms each may use. Adapters never use each other: the
/// program alone puts them together.
private let floors: [String: Set<String>] = [
    "Core": ["Core"],
    "Adapters": ["Core"],
    "Edge": ["Core", "Edge"],
    "Domains/Recording": ["Core", "Adapters", "Edge", "Domains/Recording"],
    "Program": ["Core", "Adapters", "Edge", "Domains/Recording", "Program"],
    "Testing": ["Core", "Adapters", "Edge", "Domains/Recording", "Program", "Testing"],
]

/// What the system gives to every room.
private let ofSystem: Set<String> = ["Glibc", "Synchronization"]

/// What each room uses, as Package.swift declares it.
private let declared: [String: Set<String>] = {
    let text = SourceTree.files.first { $0.path == "Package.swift" }?.lines.joined(separator: "\n") ?? ""
    guard
        let pattern = try? Regex(
            #"(?:room\(\s*\.\w+,\s*|executableTarget\(\s*name:\s*)"(\w+)",?\s*(?:dependencies:\s*)?(?:\[([^\]]*)\])?"#,
            as: (Substring, Substring, Substring?).self)
    else { return [:] }
    return text.matches(of: pattern).reduce(into: [:]) { rooms, match in
        let names = (match.output.2 ?? "").split(separator: "\"").filter { name in
            name.allSatisfy { $0.isLetter || $0.isNumber }
        }
        rooms[String(match.output.1)] = Set(names.map(String.init))
    }
}()

@Suite("Layers")
struct LayeringTests {
    private func imports(of file: SourceFile) throws -> [(Int, String)] {
        let pattern = try Regex(
            #"^\s*(?:@\w+(?:\(\w+\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"#
                + #"import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)"#,
            as: (Substring, Substring).self)
        return file.code.enumerated().compactMap { number, line in
            line.firstMatch(of: pattern).map { (number + 1, String($0.output.1)) }
        }
    }

    @Test("Every room is declared, and on a floor that there is")
    func everyRoom() throws {
        #expect(Set(SourceTree.rooms.keys).isSubset(of: declared.keys))
        #expect(Set(SourceTree.floors) == Set(floors.keys))
        let known = Set(floors.keys.map { String($0.prefix { $0 != "/" }) } + ["System"])
        #expect(Set(try SourceTree.folders(in: "Sources")) == known)
    }

    @Test("No room imports what it does not declare", arguments: SourceTree.rooms.keys.sorted())
    func imports(room: String) throws {
        var allowed = try #require(declared[room]).union(ofSystem)
        if ["Testing", "Program"].contains(SourceTree.rooms[room]) { allowed.insert("Foundation") }
        let files = SourceTree.swift(ofRoom: room)
        #expect(!files.isEmpty)
        var used: Set<String> = []
        for file in files {
            for (line, module) in try imports(of: file) {
                used.insert(module)
                if !allowed.contains(module) {
                    Issue.record("\(file.path):\(line): \(room) may not import \(module)")
                }
            }
        }
        let unused = allowed.subtracting(used).subtracting(ofSystem + ["Foundation", "CStart"])
        #expect(unused == [], "\(room) declares what it does not use")
    }

    @Test("Each room uses rooms of its own floor and of those below alone")
    func below() {
        let rooms = SourceTree.rooms
        for (room, floor) in rooms {
            let allowed = floors[floor] ?? []
            let above = (declared[room] ?? []).filter { module in
                rooms[module].map { !allowed.contains($0) } ?? false
            }
            #expect(above == [], "\(room)")
        }
    }

    @Test("Imports are found in all their forms")
    func forms() throws {
        let lines = [
            "import A", "public import B", "internal import C // why", "@testable import D",
            "@preconcurrency public import E", "import struct F.Point", "// import G", "let x = important",
            "@_implementationOnly import H", "    import I",
        ]
        let file = SourceFile(path: "x.swift", lines: lines)
        #expect(try imports(of: file).map(\.1) == ["A", "B", "C", "D", "E", "F", "H", "I"])
    }
}
