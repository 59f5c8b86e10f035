import MediaProbe
import Pipeline
import Recording
import Supervision

/// Looks into the file that is to be recorded, while the recording is prepared.
struct FilmLook {
    private let name: String
    private let probe: Result<MediaProbe, SystemFailure>?

    /// Begins to look, where there is a file to look into.
    init(_ source: ByteSource, of session: SessionEvent.Created) {
        name = source.name
        guard session.capture.source == .file, let file = source.file,
            let program = ProcessStart.programPath
        else {
            probe = nil
            return
        }
        probe = Result { () throws(SystemFailure) in try MediaProbe(file, program: program) }
    }

    /// Puts what was found into the session; answers what to say where nobody could look. Nothing that is
    /// found is a reason not to record.
    func finish(_ session: inout SessionEvent.Created) -> String? {
        switch probe {
        case nil: return nil
        case .failure(let failure): return unknown("\(failure)")
        case .success(let probe):
            switch probe.outcome() {
            case .film(let facts):
                session.media = facts
                facts.describe(&session.recording)
                return nil
            case .unknown: return nil
            case .failed(let reason): return unknown(reason)
            }
        }
    }

    private func unknown(_ reason: String) -> String {
        "\(name): nobody could look into the film, so that its length and picture are not known: \(reason)"
    }
}
