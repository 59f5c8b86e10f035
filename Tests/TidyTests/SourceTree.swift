import Foundation

/// One text file of the repository.
struct SourceFile: Sendable {
    /// Path relative to the repository's root.
    let path: String
    /// Its lines, without their newlines.
    let lines: [String]
    /// The lines with comments and the text of string literals blanked out, so that what is said about
    /// a call is not taken for the call. Knows line comments, block comments and multi-line literals.
    let code: [String]

    init(path: String, lines: [String]) {
        self.path = path
        self.lines = lines
        var scanner = CodeScanner()
        code = path.hasSuffix(".swift") ? lines.map { scanner.code(of: $0) } : []
    }
}

/// Takes comments and literals out of Swift source, line by line.
struct CodeScanner {
    private enum Place: Equatable { case code, block(Int), literal }
    private var place = Place.code

    mutating func code(of line: String) -> String {
        var out = ""
        var rest = Substring(line)
        while let next = rest.first {
            switch place {
            case .block(let depth):
                if rest.hasPrefix("*/") {
                    place = depth == 1 ? .code : .block(depth - 1)
                    rest = rest.dropFirst(2)
                } else if rest.hasPrefix("/*") {
                    place = .block(depth + 1)
                    rest = rest.dropFirst(2)
                } else {
                    rest = rest.dropFirst()
                }
            case .literal:
                if rest.hasPrefix("\"\"\"") {
                    place = .code
                    rest = rest.dropFirst(3)
                } else {
                    rest = rest.dropFirst()
                }
            case .code:
                if rest.hasPrefix("//") { return out }
                if rest.hasPrefix("/*") {
                    place = .block(1)
                    rest = rest.dropFirst(2)
                } else if rest.hasPrefix("\"\"\"") {
                    place = .literal
                    rest = rest.dropFirst(3)
                } else if next == "\"" || next == "#" && rest.drop(while: { $0 == "#" }).first == "\"" {
                    out += "\"\""
                    rest = Self.afterLiteral(rest)
                } else {
                    out.append(next)
                    rest = rest.dropFirst()
                }
            }
        }
        return out
    }

    /// What follows a literal on one line, raw (`#"…"#`) or not.
    private static func afterLiteral(_ text: Substring) -> Substring {
        let hashes = text.prefix { $0 == "#" }.count
        let end = "\"" + String(repeating: "#", count: hashes)
        var rest = text.dropFirst(hashes + 1)
        while !rest.isEmpty {
            if hashes == 0, rest.first == "\\" {
                rest = rest.dropFirst(2)
            } else if rest.hasPrefix(end) {
                return rest.dropFirst(end.count)
            } else {
                rest = rest.dropFirst()
            }
        }
        return rest
    }
}

/// The repository's files, found from where this file is; what builds and runs leave behind is left out.
enum SourceTree {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static let ignored: Set<String> = [".git", ".build", "var", "__pycache__", ".venv"]
    private static let textual: Set<String> = [
        "swift", "py", "sh", "md", "json", "yaml", "yml", "conf", "toml", "txt", "h", "c", "modulemap", "js",
        "lua", "html", "css", "service", "Dockerfile", "",
    ]

    /// Every text file, in order of its path.
    static let files: [SourceFile] = read(under: root, "")

    /// The Swift files under a folder.
    static func swift(under folder: String) -> [SourceFile] {
        files.filter { $0.path.hasPrefix(folder + "/") && $0.path.hasSuffix(".swift") }
    }

    /// Names of the folders directly in `folder`.
    /// The floors of the house but for `System`; each has a folder for each of its rooms.
    static let floors = ["Core", "Adapters", "Edge", "Domains/Recording", "Program", "Testing"]

    /// The floor of each room.
    static let rooms: [String: String] = floors.reduce(into: [:]) { rooms, floor in
        for room in (try? folders(in: "Sources/\(floor)")) ?? [] { rooms[room] = floor }
    }

    /// Where a room, or a file of it, is: `Files/Folder.swift` is `Sources/Core/Files/Folder.swift`.
    static func path(_ inRoom: String) -> String {
        let room = String(inRoom.prefix { $0 != "/" })
        return "Sources/\(rooms[room] ?? "no floor")/\(inRoom)"
    }

    /// The Swift files of a room, or of a folder of it.
    static func swift(ofRoom inRoom: String) -> [SourceFile] { swift(under: path(inRoom)) }

    static func folders(in folder: String) throws -> [String] {
        let url = root.appendingPathComponent(folder)
        return try FileManager.default.contentsOfDirectory(atPath: url.path).sorted().filter { name in
            var isFolder: ObjCBool = false
            let path = url.appendingPathComponent(name).path
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
        }
    }

    private static func read(under folder: URL, _ prefix: String) -> [SourceFile] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().flatMap { name -> [SourceFile] in
            guard !ignored.contains(name) else { return [] }
            let url = folder.appendingPathComponent(name)
            let path = prefix.isEmpty ? name : "\(prefix)/\(name)"
            if (try? FileManager.default.destinationOfSymbolicLink(atPath: url.path)) != nil { return [] }
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else { return [] }
            if isFolder.boolValue { return read(under: url, path) }
            guard textual.contains(url.pathExtension), let data = try? Data(contentsOf: url),
                let text = String(data: data, encoding: .utf8)
            else { return [] }
            return [SourceFile(path: path, lines: text.components(separatedBy: "\n"))]
        }
    }
}
