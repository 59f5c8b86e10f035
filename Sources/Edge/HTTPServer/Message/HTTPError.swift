package import Base

/// A refusal or a failure that is answered to the client. The gateway gives it its form
/// (`ServerSettings.renderError`).
package struct HTTPError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The status code, 400...599.
    package var status: Int
    /// What the gateway tells kinds of errors apart by; `layer` lists those that this layer gives.
    package var code: String
    /// For people: what happened, to what, what to do.
    package var message: String
    /// Members that the gateway puts into the answer.
    package var details: [JSONValue.Member]
    /// Further headers of the answer, such as `Retry-After`.
    package var headers: [HeaderField]

    /// Takes all parts as they are.
    package init(
        status: Int, code: String, message: String, details: [JSONValue.Member] = [],
        headers: [HeaderField] = []
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers
    }

    /// Status, code and message.
    package var description: String { "\(status) \(code): \(message)" }

    /// The errors that this layer gives by itself, by code.
    package enum Layer: String, Sendable, CaseIterable {
        /// 400: a request that isn't HTTP as it should be, or whose target can't be decoded.
        case malformed
        /// 404: no route has this path.
        case notFound = "not_found"
        /// 405: the path is there, the method isn't.
        case methodNotAllowed = "method_not_allowed"
        /// 406: the client takes none of what the route can give.
        case notAcceptable = "not_acceptable"
        /// 408: the request took too long to arrive.
        case timeout = "request_timeout"
        /// 411: a body without a length, where one is wanted.
        case lengthRequired = "length_required"
        /// 412: `If-Match` names another version.
        case preconditionFailed = "precondition_failed"
        /// 413: the body is larger than the route takes.
        case tooLarge = "too_large"
        /// 414: the target is too long.
        case targetTooLong = "target_too_long"
        /// 415: a body of a type that the route doesn't take.
        case unsupportedType = "unsupported_media_type"
        /// 416: no byte of the wanted range exists.
        case rangeNotSatisfiable = "range_not_satisfiable"
        /// 417: an `Expect` other than `100-continue`.
        case expectationFailed = "expectation_failed"
        /// 431: header fields too large.
        case headerTooLarge = "header_too_large"
        /// 500: a handler failed in a way that nobody foresaw.
        case internalError = "internal_error"
        /// 501: a transfer coding that isn't known.
        case notImplemented = "not_implemented"
        /// 503: too many requests wait, or the server is stopping.
        case overloaded
        /// 505: another HTTP than 1.0 and 1.1.
        case version = "version_not_supported"

        /// The status code.
        package var status: Int {
            switch self {
            case .malformed: 400
            case .notFound: 404
            case .methodNotAllowed: 405
            case .notAcceptable: 406
            case .timeout: 408
            case .lengthRequired: 411
            case .preconditionFailed: 412
            case .tooLarge: 413
            case .targetTooLong: 414
            case .unsupportedType: 415
            case .rangeNotSatisfiable: 416
            case .expectationFailed: 417
            case .headerTooLarge: 431
            case .internalError: 500
            case .notImplemented: 501
            case .overloaded: 503
            case .version: 505
            }
        }
    }

    /// One of this layer's own errors.
    package init(
        _ layer: Layer, _ message: String, details: [JSONValue.Member] = [], headers: [HeaderField] = []
    ) {
        self.init(
            status: layer.status, code: layer.rawValue, message: message, details: details, headers: headers)
    }
}
