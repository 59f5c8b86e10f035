/// What text from outside may hold.
///
/// Text is kept as it comes, code point by code point: nothing is trimmed, folded or normalised, so that
/// whatever was taken is found again by the same text. What would be read in two ways is refused: C
/// libraries end a text at NUL, terminals and logs obey control characters, and marks that turn the
/// direction round show another text than there is.
extension Unicode.Scalar {
    /// Whether it is a control character: C0, DEL and C1, the separators of lines and paragraphs, and those
    /// that embed, override or isolate a direction of writing (Unicode UAX #9). The mere marks of a
    /// direction, which names in right-to-left scripts may need, are none.
    package var isControl: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}

extension StringProtocol {
    /// Whether no control character is in it: a name, a tag, a reason.
    package var isOneLine: Bool { !unicodeScalars.contains(where: \.isControl) }

    /// Whether no control character is in it but line feeds, carriage returns and tabs: a description.
    package var isLines: Bool {
        !unicodeScalars.contains { $0.isControl && $0 != "\n" && $0 != "\r" && $0 != "\t" }
    }

    /// Whether two texts are the same code points. `==` takes texts for the same that merely look so, such as
    /// the sign for Kelvin and a K, which no index and no other program does.
    package func isIdentical(to other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// Whether both texts are there and the same code points, or neither is.
package func areIdentical(_ one: String?, _ other: String?) -> Bool {
    guard let one, let other else { return one == nil && other == nil }
    return one.isIdentical(to: other)
}
