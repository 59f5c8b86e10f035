import Base
import Console
import Pipeline
import Recording

/// Tells the caller of `reel record` how far it has come: the id on standard output, progress on
/// standard error. One thread.
final class RecordingReport {
    private let sessionID: String
    private let asJSON: Bool
    private let isVerbose: Bool
    private let isQuiet: Bool
    private var began = ContinuousClock.now
    private var line: ProgressLine
    private var lastDrawn: ContinuousClock.Instant?
    private var isLineOpen = false
    private var idPrinted = false
    /// Why the caller was not told the session's id.
    private var idFailure: (any Error)?

    /// Between two redraws on a terminal, and between two lines where there is none.
    private static let redrawInterval = Duration.milliseconds(100)
    private static let lineInterval = Duration.seconds(5)

    init(_ settings: Settings, _ sessionID: String, totalBytes: Int?) {
        self.sessionID = sessionID
        asJSON = settings[Common.json]
        isVerbose = settings[RecordSettings.verbose]
        isQuiet = settings[RecordSettings.quiet]
        line = ProgressLine("recording", of: ("chunk", "chunks"), totalBytes: totalBytes)
    }

    /// After every acknowledged chunk, and when the recorder begins to wait.
    func take(_ progress: RecordingProgress) {
        let bytes = progress.bytes - line.bytes
        if progress.chunks > line.parts {
            printID()
            if isVerbose { note("chunk \(progress.chunks) recorded: \(bytes) bytes") }
        }
        line.bytes = progress.bytes
        line.parts = progress.chunks
        line.waitingFor = progress.waitingFor
        draw(finally: false)
    }

    /// Everything is recorded.
    func recorded(_ summary: RecordingSummary) {
        printID()
        line.waitingFor = nil
        line.bytes = summary.bytes
        line.parts = summary.chunks
        draw(finally: true)
    }

    /// Chunks that are stored, while the caller waits for the session to be completed.
    func completing(stored: Int, of chunks: Int, bytes: Int) {
        if line.title == "recording" {
            line = ProgressLine("sealing", of: ("chunk", "chunks"), totalBytes: bytes)
            began = ContinuousClock.now
        } else if stored == line.parts {
            return
        }
        line.parts = stored
        let share = Double.quotient(Double(stored), by: Double(chunks))
        line.bytes = chunks == 0 ? bytes : Int(saturating: Double(bytes) * share)
        draw(finally: stored == chunks)
    }

    /// A line of its own among the progress.
    func note(_ text: String) {
        clear()
        Output.error(text)
    }

    /// The recording ended early: leaves the terminal as it should be.
    func abandon() { clear() }

    /// With `--json`, the outcome on standard output. Throws when that, or the id before it, could not be
    /// written.
    func finish(_ summary: RecordingSummary, status: SessionStatus) throws {
        clear()
        if let idFailure { throw idFailure }
        guard asJSON else { return }
        var writer = JSONWriter()
        writer.object { json in
            json.member("session_id", summary.sessionID)
            json.member("status", status.rawValue)
            json.member("chunks_count", summary.chunks)
            json.member("size_bytes", summary.bytes)
            json.member("reason", summary.reason.rawValue)
            json.member("incomplete", summary.incomplete)
        }
        try Output.line(writer)
    }

    private func printID() {
        guard !asJSON, !idPrinted else { return }
        idPrinted = true
        clear()
        do { try Output.line(sessionID) } catch is OutputClosed {
            // A reader that went away does not end a recording, nor does anybody miss anything.
        } catch {
            // Nor does this; but it is said in the end.
            idFailure = error
        }
    }

    private func draw(finally isFinal: Bool) {
        guard !isQuiet else { return }
        let now = ContinuousClock.now
        let columns = Terminal.columns(of: .error)
        let interval = columns == nil ? Self.lineInterval : Self.redrawInterval
        if !isFinal, let lastDrawn, now - lastDrawn < interval { return }
        // Without a terminal the first line comes after an interval, so that short work stays quiet.
        if !isFinal, columns == nil, lastDrawn == nil, now - began < interval { return }
        lastDrawn = now
        let elapsed = (now - began).components
        line.elapsedMilliseconds =
            Int(elapsed.seconds) * 1000 + Int(elapsed.attoseconds / 1_000_000_000_000_000)
        if let columns {
            Output.error(bytes: Array("\r\(line.render(columns: columns - 1))\u{1B}[K".utf8))
            isLineOpen = true
            if isFinal { close() }
        } else {
            Output.error(line.render(columns: 200))
        }
    }

    /// Ends the progress line and keeps it.
    private func close() {
        guard isLineOpen else { return }
        Output.error("")
        isLineOpen = false
    }

    /// Takes the progress line away, so that something else can be printed.
    private func clear() {
        guard isLineOpen else { return }
        Output.error(bytes: Array("\r\u{1B}[K".utf8))
        isLineOpen = false
    }
}
