public import Glibc

extension UnsafeMutablePointer where Pointee == dirent {
    /// The name of an entry that `readdir` has answered, without the NUL behind it.
    ///
    /// `d_name` is declared with 256 bytes, and an entry is only as long as its name (readdir(3)): who copies
    /// the field reads beyond the list of entries, and dies where the memory ends there.
    public var nameBytes: [UInt8] {
        guard let lengthAt = MemoryLayout<dirent>.offset(of: \.d_reclen),
            let nameAt = MemoryLayout<dirent>.offset(of: \.d_name)
        else { return [] }
        let entry = UnsafeRawPointer(self)
        let length = Int(entry.loadUnaligned(fromByteOffset: lengthAt, as: UInt16.self))
        guard length > nameAt else { return [] }
        let name = UnsafeRawBufferPointer(start: entry + nameAt, count: length - nameAt)
        return [UInt8](name.prefix { $0 != 0 })
    }
}
