internal import Access
internal import Base
internal import EventSourcing

extension SessionFacts {
    private static let form: UInt8 = 1
    private enum Flag {
        static let owner: UInt8 = 1
        static let project: UInt8 = 2
    }

    /// The facts in a few bytes: the form; which of owner and project there are; the version (LEB128); the
    /// digests (8 bytes each, big-endian); then owner and project, each its length (LEB128) and UTF-8.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = [Self.form]
        bytes.reserveCapacity(96)
        bytes.append(
            (ownership.owner == nil ? 0 : Flag.owner) | (ownership.project == nil ? 0 : Flag.project))
        VariableInteger.append(version, to: &bytes)
        for part in description.parts { withUnsafeBytes(of: part.bigEndian) { bytes.append(contentsOf: $0) } }
        for text in [ownership.owner, ownership.project] {
            guard let text else { continue }
            VariableInteger.append(UInt64(text.utf8.count), to: &bytes)
            bytes.append(contentsOf: text.utf8)
        }
        return bytes
    }

    /// Reads them; nil for anything else.
    package init?(bytes: [UInt8]) {
        var rest = bytes[...]
        guard rest.popFirst() == Self.form, let flags = rest.popFirst(), flags < 4,
            let version = VariableInteger.take(from: &rest)
        else { return nil }
        var parts: [UInt64] = []
        for _ in 0..<5 {
            guard rest.count >= 8 else { return nil }
            parts.append(rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
            rest = rest.dropFirst(8)
        }
        var texts: [String?] = []
        for flag in [Flag.owner, Flag.project] {
            guard flags & flag != 0 else {
                texts.append(nil)
                continue
            }
            guard let count = VariableInteger.take(from: &rest), count <= UInt64(rest.count),
                let text = String(validating: rest.prefix(Int(count)), as: UTF8.self)
            else { return nil }
            texts.append(text)
            rest = rest.dropFirst(Int(count))
        }
        guard rest.isEmpty else { return nil }
        self.init(
            ownership: Ownership(owner: texts[0], project: texts[1]),
            description: DescriptionDigest(
                name: parts[0], desktop: parts[1], recording: parts[2], storage: parts[3],
                metadata: parts[4]),
            version: version)
    }
}
