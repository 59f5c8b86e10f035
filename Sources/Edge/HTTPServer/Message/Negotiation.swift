/// What clients accept, and what they send (RFC 9110 part 12).
enum Negotiation {
    /// One element of an `Accept…` header and its weight, in thousandths.
    private static func weighted(_ header: String) -> [(value: Substring, weight: Int)] {
        header.split(separator: ",").compactMap { element in
            let parts = element.split(separator: ";", omittingEmptySubsequences: false)
            guard let value = parts.first?.trimming(), !value.isEmpty else { return nil }
            var weight = 1000
            for parameter in parts.dropFirst().map({ $0.trimming() })
            where parameter.lowercased().hasPrefix("q=") {
                weight = Double(parameter.dropFirst(2)).map { Int(min(max($0, 0), 1) * 1000) } ?? 0
            }
            return (value, weight)
        }
    }

    /// Whether the client takes gzip. Without the header it is not used, although it would be allowed.
    static func acceptsGzip(_ header: String?) -> Bool {
        guard let header else { return false }
        let elements = weighted(header)
        let exact = elements.first { ["gzip", "x-gzip"].contains($0.value.lowercased()) }
        return (exact ?? elements.first { $0.value == "*" }).map { $0.weight > 0 } ?? false
    }

    /// Whether the client takes one of `types`; the most specific element about a type decides.
    static func accepts(_ header: String?, oneOf types: [String]) -> Bool {
        guard let header, !types.isEmpty else { return true }
        let elements = weighted(header)
        guard !elements.isEmpty else { return true }
        return types.contains { type in
            let family = type.prefix { $0 != "/" } + "/*"
            for wanted in [Substring(type), family, "*/*"] {
                if let found = elements.first(where: { $0.value.lowercased() == wanted }) {
                    return found.weight > 0
                }
            }
            return false
        }
    }

    /// A media type without its parameters, in small letters.
    static func essence(_ contentType: String) -> String {
        contentType.prefix { $0 != ";" }.trimming().lowercased()
    }

    /// Whether bytes of this type shrink.
    static func isCompressible(_ contentType: String) -> Bool {
        if contentType == "application/json" { return true }
        let type = essence(contentType)
        return type.hasPrefix("text/") && type != "text/event-stream" || type.hasSuffix("json")
            || type.hasSuffix("yaml") || type.hasSuffix("xml") || type == "application/javascript"
    }
}
