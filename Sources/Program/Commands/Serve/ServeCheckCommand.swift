import Base
import Console
import Glibc
import Supervision

/// `reel serve check`: the probe of an orchestrator, run beside a `reel serve` on the same machine.
enum ServeCheckCommand: Command {
    enum Question: String, CaseIterable {
        /// It runs, and reaches the event log.
        case ready
        /// It runs; a server that is away is no reason to start it again.
        case live
    }

    static let question = Setting(
        "for", "WORD", .oneOf(Question.allCases.map(\.rawValue)), default: "ready",
        help: "ready: in service and in touch with the event log; live: the process works, whatever the "
            + "servers do")
    static let readyFile = Setting(
        "ready-file", "FILE", .path, variable: "REEL_READY_FILE", isRequired: true,
        help: "The file that 'reel serve --ready-file' was given")

    static let declaration = CommandDeclaration(
        "serve", "check", summary: "Ask whether a 'reel serve' on this machine is in service",
        details:
            "Reads the file that 'reel serve --ready-file' rewrites every second; asks no server. A file "
            + "that is older than 10 s belongs to a process that was killed or hangs.",
        options: [
            question.declaration, readyFile.declaration, Common.data.declaration, Common.config.declaration,
        ],
        examples: [
            "reel serve check --ready-file /run/reel/ready",
            "reel serve check --for live --ready-file /run/reel/ready",
        ],
        statuses: ["1  it is not", Common.usageStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let path = try settings.require(readyFile)
        let asked = Question(rawValue: try settings.require(question)) ?? .ready
        let text: String
        do throws(SystemFailure) { text = try FileText.read(path) } catch {
            throw CommandFailure(.no, "not in service: \(path): \(error.text)")
        }
        guard let file = InServiceFile(text) else {
            throw CommandFailure(.no, "not in service: \(path) is not what 'reel serve' writes")
        }
        if let objection = file.objection(to: asked, at: SystemClock().now()) {
            throw CommandFailure(.no, "not in service: \(path): \(objection)")
        }
        try Output.line("in service: process \(file.pid), roles \(file.roles)")
        return .success
    }
}
