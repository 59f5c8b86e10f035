/// The kind of history that a partition key names: what stands before the key's first slash. Keys without one
/// are of the bare category.
package struct Category: Sendable, Hashable, CustomStringConvertible {
    /// Its name; empty for the bare one.
    package let name: String

    /// The category of keys without a slash.
    package static let bare = Category("")

    /// The category of this name, which holds no slash.
    package init(_ name: String) { self.name = name }

    /// The category of a partition key.
    package init(of partitionKey: String) {
        guard let slash = partitionKey.utf8.firstIndex(of: UInt8(ascii: "/")) else {
            self = .bare
            return
        }
        name = String(partitionKey[..<slash])
    }

    /// Whether a partition key is of this category.
    package func contains(_ partitionKey: String) -> Bool {
        if name.isEmpty { return !partitionKey.utf8.contains(UInt8(ascii: "/")) }
        return partitionKey.utf8.starts(with: name.utf8)
            && partitionKey.utf8.dropFirst(name.utf8.count).first == UInt8(ascii: "/")
    }

    /// The partition key of a history by its id.
    package func key(of id: String) -> String { name.isEmpty ? id : "\(name)/\(id)" }

    /// The id in a partition key of this category.
    package func id(of partitionKey: String) -> String {
        name.isEmpty ? partitionKey : String(partitionKey.utf8.dropFirst(name.utf8.count + 1)) ?? ""
    }

    /// Its name.
    package var description: String { name }
}
