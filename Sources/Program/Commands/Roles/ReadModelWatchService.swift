import Console
import MongoViews
import Supervision

/// Looks for documents in the read models' collections that are none of Reel's, and whether those that were
/// met are still there, for log, figures and `reel status`.
struct ReadModelWatchService: Service {
    let name = "read-models"
    private let system: OpenSystem
    private static let lookMilliseconds = 5_000

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        var told = ""
        repeat {
            do {
                try system.views.reviewForeign(isKeeping: true)
                told = ""
            } catch {
                // A server that is away is told of by those who need it.
                if told != "\(error)" { system.report(.debug, name, "\(error)") }
                told = "\(error)"
            }
        } while !stop.wait(milliseconds: Self.lookMilliseconds)
    }
}
