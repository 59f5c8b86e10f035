/// A place in a recording: where its next chunk belongs.
package struct StreamPlace: Sendable, Hashable, CustomStringConvertible {
    /// The number of the chunk, from 1.
    package var sequenceNumber: Int
    /// Bytes that were recorded before it.
    package var offset: Int
    package init(sequenceNumber: Int, offset: Int) {
        self.sequenceNumber = sequenceNumber
        self.offset = offset
    }

    /// `byte 4096 with chunk 3`.
    package var description: String { "byte \(offset) with chunk \(sequenceNumber)" }

    /// The place behind a chunk of so many bytes that was recorded here.
    package func after(bytes: Int) -> StreamPlace {
        StreamPlace(sequenceNumber: sequenceNumber + 1, offset: offset + bytes)
    }
}
