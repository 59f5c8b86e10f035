import Base
import Glibc
import Testing

@Suite("Entries of folders")
struct DirectoryEntryTests {
    @Test("a name is read where the memory ends right behind its entry", arguments: ["a", "abcde", "ä"])
    func atTheEnd(name: String) throws {
        let page = Int(sysconf(CInt(_SC_PAGESIZE)))
        let flags = CInt(MAP_PRIVATE) | CInt(MAP_ANONYMOUS)
        let memory = try #require(mmap(nil, 2 * page, PROT_READ | PROT_WRITE, flags, -1, 0))
        defer { munmap(memory, 2 * page) }
        // Whoever reads beyond the first page dies.
        try #require(mprotect(memory + page, page, PROT_NONE) == 0)
        let nameAt = try #require(MemoryLayout<dirent>.offset(of: \.d_name))
        let lengthAt = try #require(MemoryLayout<dirent>.offset(of: \.d_reclen))
        // As the kernel has it: a NUL, and up to a multiple of 8 bytes.
        let length = (nameAt + name.utf8.count + 1 + 7) / 8 * 8
        let entry = memory + page - length
        entry.storeBytes(of: UInt16(length), toByteOffset: lengthAt, as: UInt16.self)
        for (place, byte) in name.utf8.enumerated() {
            entry.storeBytes(of: byte, toByteOffset: nameAt + place, as: UInt8.self)
        }
        let found = DirectoryEntry(entry.assumingMemoryBound(to: dirent.self)).nameBytes
        #expect(String(decoding: found, as: UTF8.self) == name)
    }
}
