internal import CMongo
internal import ReadModels

// `bson_t` is aligned to 128 bytes, which Swift imports as an opaque pointer only; the memory for one is
// therefore reserved by hand. Its size is fixed by libbson's ABI.
private let bsonSize = 128

extension BSONDocument {
    /// Lends the document to a C call as a read-only `bson_t` without copying it.
    func withBSON<Answer>(_ body: (OpaquePointer) -> Answer) -> Answer {
        withUnsafeTemporaryAllocation(byteCount: bsonSize, alignment: bsonSize) { memory in
            bytes.withUnsafeBufferPointer { bytes in
                guard let base = memory.baseAddress else { preconditionFailure("no memory for a bson_t") }
                let bson = OpaquePointer(base)
                let valid = bson_init_static(bson, bytes.baseAddress, bytes.count)
                precondition(valid, "a built document has a true length and a closing zero")
                return body(bson)
            }
        }
    }

    /// Copies a `bson_t` that C owns.
    init(copying bson: OpaquePointer) {
        guard let data = bson_get_data(bson) else { self = .empty; return }
        let header = UnsafeRawPointer(data).loadUnaligned(as: UInt32.self)
        let length = Int(UInt32(littleEndian: header))
        self.init(copying: UnsafeRawBufferPointer(start: data, count: length))
    }

    /// Runs a C call that fills in a reply, and copies the reply out before it is freed.
    static func reply<Answer>(_ body: (OpaquePointer) -> Answer) -> (Answer, BSONDocument) {
        withUnsafeTemporaryAllocation(byteCount: bsonSize, alignment: bsonSize) { memory in
            guard let base = memory.baseAddress else { preconditionFailure("no memory for a bson_t") }
            let bson = OpaquePointer(base)
            bson_init(bson)
            let answer = body(bson)
            let document = BSONDocument(copying: bson)
            bson_destroy(bson)
            return (answer, document)
        }
    }
}
