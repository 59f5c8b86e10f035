/// The fields that are looked for in every request, found once when the header is read.
enum KnownField: UInt8, CaseIterable {
    case accept, acceptEncoding, authorization, contentLength, contentType, cookie, expect, host, ifRange
    case lastEventID, origin, range, requestID, traceparent, transferEncoding

    var name: StaticString {
        switch self {
        case .accept: "accept"
        case .acceptEncoding: "accept-encoding"
        case .authorization: "authorization"
        case .contentLength: "content-length"
        case .contentType: "content-type"
        case .cookie: "cookie"
        case .expect: "expect"
        case .host: "host"
        case .ifRange: "if-range"
        case .lastEventID: "last-event-id"
        case .origin: "origin"
        case .range: "range"
        case .requestID: "x-request-id"
        case .traceparent: "traceparent"
        case .transferEncoding: "transfer-encoding"
        }
    }

    /// Fields that mean one thing. Several of them in one request are a contradiction: somebody in front of
    /// us may have gone by another one.
    static let single: [KnownField] = [
        .authorization, .contentLength, .contentType, .expect, .host, .ifRange, .lastEventID, .origin, .range,
    ]

    /// The field of this name, without regard to case.
    init?(named name: UnsafeBufferPointer<UInt8>) {
        let candidates: (KnownField, KnownField?, KnownField?, KnownField?)
        switch name.count {
        case 4: candidates = (.host, nil, nil, nil)
        case 5: candidates = (.range, nil, nil, nil)
        case 6: candidates = (.accept, .cookie, .expect, .origin)
        case 8: candidates = (.ifRange, nil, nil, nil)
        case 11: candidates = (.traceparent, nil, nil, nil)
        case 12: candidates = (.contentType, .requestID, nil, nil)
        case 13: candidates = (.authorization, .lastEventID, nil, nil)
        case 14: candidates = (.contentLength, nil, nil, nil)
        case 15: candidates = (.acceptEncoding, nil, nil, nil)
        case 17: candidates = (.transferEncoding, nil, nil, nil)
        default: return nil
        }
        func isName(_ field: KnownField?) -> Bool {
            guard let field else { return false }
            let start = field.name.utf8Start
            for place in name.indices where smallASCII(name[place]) != start[place] { return false }
            return true
        }
        if isName(candidates.0) {
            self = candidates.0
        } else if let field = candidates.1, isName(field) {
            self = field
        } else if let field = candidates.2, isName(field) {
            self = field
        } else if let field = candidates.3, isName(field) {
            self = field
        } else {
            return nil
        }
    }
}
