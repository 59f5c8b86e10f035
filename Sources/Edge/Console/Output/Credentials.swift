/// A text without the user and the password of any URL in it: `redis://anna:secret@host` is
/// `redis://…@host`. Everything that is written for people goes through here.
///
/// A password may hold any character but space and quotation marks; where that leaves a doubt, more is left
/// out rather than less.
package func withoutCredentials(_ text: String) -> String {
    guard text.utf8.contains(0x40) else { return text }
    var out = ""
    var rest = text[...]
    while let mark = rest.firstRange(of: "://") {
        out += rest[..<mark.upperBound]
        rest = rest[mark.upperBound...]
        let token = rest.prefix { !$0.isWhitespace && $0 != "\"" && $0 != "'" }
        guard let at = token.lastIndex(of: "@") else { continue }
        out += "…"
        rest = rest[at...]
    }
    return out + rest
}
