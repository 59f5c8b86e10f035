package import Glibc

/// An entry of a folder, as `readdir` answers it.
package struct DirectoryEntry {
    private let entry: UnsafeMutablePointer<dirent>

    package init(_ entry: UnsafeMutablePointer<dirent>) { self.entry = entry }

    /// Its name, without the NUL behind it.
    ///
    /// `d_name` is declared with 256 bytes, and an entry is only as long as its name (readdir(3)): who copies
    /// the field reads beyond the list of entries, and dies where the memory ends there.
    package var nameBytes: [UInt8] {
        guard let lengthAt = MemoryLayout<dirent>.offset(of: \.d_reclen),
            let nameAt = MemoryLayout<dirent>.offset(of: \.d_name)
        else { return [] }
        let entry = UnsafeRawPointer(entry)
        let length = Int(entry.loadUnaligned(fromByteOffset: lengthAt, as: UInt16.self))
        guard length > nameAt else { return [] }
        let name = UnsafeRawBufferPointer(start: entry + nameAt, count: length - nameAt)
        return [UInt8](name.prefix { $0 != 0 })
    }

    /// What it is, as `DT_DIR` and the like; `DT_UNKNOWN` where the file system does not say.
    package var kind: Int {
        guard let at = MemoryLayout<dirent>.offset(of: \.d_type) else { return Int(DT_UNKNOWN) }
        return Int(UnsafeRawPointer(entry).load(fromByteOffset: at, as: UInt8.self))
    }
}
