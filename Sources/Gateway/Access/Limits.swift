/// What requests are counted as; each has so many a minute and subject (DESIGN 3.7).
public enum LimitClass: String, Sendable, CaseIterable {
    case create
    case status
    case chunks
    case bulk
    case update
    case delete
    case pipeline
    case statistics
}
