import Base
import Console
import Glibc
import Supervision

/// A file that says that the process is in service, and is rewritten while it is: for orchestrators.
///
/// Written when the first beat has reached the log and the roles run, removed before anything stops. While
/// the log cannot be reached its `state` is `cut_off`. A file that is not rewritten belongs to a process
/// that was killed, or that hangs.
struct InServiceMark: Service {
    let name = "in-service"
    private let system: OpenSystem
    private let path: String?
    private let beats: BeatHealth
    private static let rewriteMilliseconds = 1_000

    init(_ system: OpenSystem, path: String?, beats: BeatHealth) {
        self.system = system
        self.path = path
        self.beats = beats
    }

    func run(stop: StopSignal) throws {
        let report = system.report
        if let path {
            try content().write(to: path)
        }
        report(
            .info, "serve", "ready",
            [("roles", system.choice.text), ("instance", system.instance), ("file", path ?? "none")])
        var failing = false
        while !stop.wait(milliseconds: Self.rewriteMilliseconds) {
            guard let path else { continue }
            do throws(SystemFailure) {
                try content().write(to: path)
                failing = false
            } catch {
                // A check that finds an old file answers no, which is all that can be said now.
                if !failing { report(.warning, "serve", "the ready file cannot be written: \(error)") }
                failing = true
            }
        }
        if let path { unlink(path) }
        report(.info, "serve", "stopping: finishing what is in hand")
    }

    private func content() -> InServiceFile {
        InServiceFile(
            pid: getpid(), instance: system.instance, roles: system.choice.text,
            stages: system.choice.stagesText,
            state: beats.isCutOff ? .cutOff : .ready, time: SystemClock().now())
    }
}

/// What stands in the ready file.
struct InServiceFile: Equatable {
    enum State: String {
        case ready
        case cutOff = "cut_off"
    }

    var pid: Int32
    var instance: String
    var roles: String
    var stages: String
    var state: State
    var time: Timestamp

    /// Older than this it belongs to nobody who works.
    static let lifetimeMilliseconds = 10_000

    /// Writes the file whole or not at all.
    func write(to path: String) throws(SystemFailure) {
        var writer = JSONWriter()
        writer.object { json in
            json.member("pid", pid)
            json.member("instance", instance)
            json.member("roles", roles)
            json.member("stages", stages)
            json.member("state", state.rawValue)
            json.member("time", time)
        }
        try FileText.write(writer.bytes + [0x0A], to: path)
    }

    init(pid: Int32, instance: String, roles: String, stages: String, state: State, time: Timestamp) {
        self.pid = pid
        self.instance = instance
        self.roles = roles
        self.stages = stages
        self.state = state
        self.time = time
    }

    /// Nil when the text is something else.
    init?(_ text: String) {
        guard let json = try? JSONValue(parsing: Array(text.utf8)),
            let pid = json["pid"]?.integer.flatMap({ Int32(exactly: $0) }),
            let instance = json["instance"]?.string, let roles = json["roles"]?.string,
            let stages = json["stages"]?.string,
            let state = json["state"]?.string.flatMap(State.init(rawValue:)),
            let time = json["time"]?.string.flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        self.init(pid: pid, instance: instance, roles: roles, stages: stages, state: state, time: time)
    }

    /// Why a check says no at `now`; nil when it says yes.
    func objection(to question: ServeCheckCommand.Question, at now: Timestamp) -> String? {
        // A clock that was set back must not make a hanging process look well for ever.
        let age = abs(now.milliseconds(since: time))
        if age > Int64(Self.lifetimeMilliseconds) {
            return "process \(pid) last wrote it at \(time.rfc3339): it was killed, or it hangs"
        }
        if question == .ready, state == .cutOff {
            return "process \(pid) runs, but does not reach the event log, or may not write there"
        }
        return nil
    }
}
