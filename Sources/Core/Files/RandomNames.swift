package import Base
internal import Glibc

extension Identifier {
    /// `count` random bytes, at most 256, as hexadecimal digits behind a prefix: for names that nobody else
    /// has. A simulation on this thread draws them itself.
    package static func random(prefix: String, bytes count: Int) -> String {
        prefix + Hexadecimal.text(FileCalls.watcher?.randomBytes(count) ?? systemBytes(count))
    }

    private static func systemBytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            // Up to 256 bytes come at once, once the machine has gathered any randomness at all.
            precondition(getentropy(target.baseAddress, count) == 0, "no source of randomness")
            filled = count
        }
    }
}
