import Foundation
import Glibc
import Supervision
import Testing
import TestServers

@Suite("Child processes")
struct ChildProcessTests {
    /// Runs a shell script with its output in a file, to the end; gives the output.
    private func output(of script: String, _ change: (inout ChildProcess.Command) -> Void = { _ in }) throws
        -> String
    {
        let scratch = Scratch()
        let log = scratch.path + "/log"
        var command = ChildProcess.Command("/bin/sh", ["-c", script], logFile: log)
        change(&command)
        #expect(try ChildProcess(command).wait() == .exited(0))
        return try String(contentsOfFile: log, encoding: .utf8)
    }

    @Test func theStatusSaysHowItEnded() throws {
        #expect(try ChildProcess(.init("/bin/sh", ["-c", "exit 3"])).wait() == .exited(3))
        #expect(try ChildProcess(.init("/bin/sh", ["-c", "kill -9 $$"])).wait() == .signalled(SIGKILL))
    }

    @Test func stdoutStderrEnvironmentAndFolderAreAsAsked() throws {
        let scratch = Scratch()
        let text = try output(of: "pwd; echo \"$COLOUR\" >&2; cat") {
            $0.folder = scratch.path
            $0.environment = ["COLOUR": "blue = green"]
        }
        #expect(text == "\(scratch.path)\nblue = green\n")
    }

    @Test func aProgramThatCannotRunIsAnErrorOfTheParent() throws {
        let scratch = Scratch()
        let text = scratch.path + "/text"
        try "no program".write(toFile: text, atomically: true, encoding: .utf8)
        #expect(throws: SystemFailure("run", scratch.path + "/none", code: ENOENT)) {
            try ChildProcess(.init(scratch.path + "/none"))
        }
        #expect(throws: SystemFailure("run", text, code: EACCES)) { try ChildProcess(.init(text)) }
        #expect(throws: SystemFailure("run", "/bin/true", code: ENOTDIR)) {
            try ChildProcess(.init("/bin/true", folder: text))
        }
        #expect(throws: SystemFailure("open log file", "/proc/none", code: ENOENT)) {
            try ChildProcess(.init("/bin/true", logFile: "/proc/none"))
        }
    }

    @Test func signalsAreNeitherBlockedNorIgnoredInTheChild() throws {
        let thread = try OwnThread(name: "blocks signals") {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_BLOCK, &all, nil)
            signal(SIGPIPE, SIG_IGN)
            return try self.output(of: "exec cat /proc/self/status")
        }
        let lines = try thread.join().split(separator: "\n")
        for field in ["SigBlk:", "SigIgn:"] {
            let line = try #require(lines.first { $0.hasPrefix(field) })
            let mask = try #require(UInt64(line.dropFirst(field.count + 1), radix: 16))
            // The C library keeps 32 and 33 to itself.
            #expect(mask & 0xffff_fffe_7fff_ffff == 0, "\(line)")
        }
    }

    @Test func onlyTheChosenDescriptorsAreOpenInTheChild() throws {
        let kept = open("/dev/null", O_RDONLY)
        let other = open("/dev/null", O_RDONLY)
        defer {
            close(kept)
            close(other)
        }
        // One more is the listing's own.
        let text = try output(of: "ls /proc/self/fd") { $0.inherited = [kept] }
        let open = Set(text.split(separator: "\n").compactMap { Int32($0) })
        #expect(open.isSuperset(of: [0, 1, 2, kept]))
        #expect(!open.contains(other))
        #expect(open.count <= 5)
    }

    @Test func theChildHasAProcessGroupOfItsOwn() throws {
        let child = try ChildProcess(.init("/bin/sleep", ["60"]))
        #expect(getpgid(child.pid) == child.pid)
        #expect(child.isRunning)
        #expect(child.wait(milliseconds: 1) == nil)
        #expect(child.terminate(withinMilliseconds: 10_000) == .signalled(SIGTERM))
        #expect(!child.send(SIGTERM))
    }

    @Test func aDeafChildIsKilledAfterTheDeadline() throws {
        let scratch = Scratch()
        let log = scratch.path + "/log"
        let child = try ChildProcess(
            .init("/bin/sh", ["-c", "trap '' TERM; echo deaf; exec sleep 60"], logFile: log))
        #expect(eventually { (try? String(contentsOfFile: log, encoding: .utf8)) == "deaf\n" })
        #expect(child.terminate(withinMilliseconds: 50) == .signalled(SIGKILL))
    }

    @Test func aStoppedChildCanBeTerminated() throws {
        let child = try ChildProcess(.init("/bin/sleep", ["60"]))
        child.send(SIGSTOP)
        #expect(child.terminate(withinMilliseconds: 10_000) == .signalled(SIGTERM))
    }

    @Test func handlersHearOfTheEndOnce() throws {
        let early = StopSignal()
        let late = StopSignal()
        let child = try ChildProcess(.init("/bin/sleep", ["60"]))
        child.whenEnded { _ in early.set() }
        child.send(SIGKILL)
        #expect(early.wait(milliseconds: 10_000))
        child.whenEnded { if $0 == .signalled(SIGKILL) { late.set() } }
        #expect(late.isSet)
    }

    @Test func aChildOutlivesTheThreadThatStartedIt() throws {
        let thread = try OwnThread(name: "starter") { try ChildProcess(.init("/bin/sleep", ["60"])) }
        let child = try thread.join()
        // The thread itself ends a moment after its closure; a child bound to it would die then.
        #expect(child.wait(milliseconds: 200) == nil)
        child.terminate(withinMilliseconds: 10_000)
    }

    @Test func manyChildrenAtOnceAreAllReaped() throws {
        let children = try (0..<40).map { try ChildProcess(.init("/bin/sh", ["-c", "exit \($0)"])) }
        #expect(children.map { $0.wait() } == (0..<40).map { .exited($0) })
        for child in children { #expect(!isAlive(child.pid)) }
    }

    @Test func serversEndWhenTheProcessThatStartedThemIsKilled() async throws {
        // The process writes its children's pids to stdout and dies without any chance to clean up.
        let result = try await #require(processExitsWith: .failure, observing: [\.standardOutputContent]) {
            let redis = try TestRedis.start()
            let child = try ChildProcess(.init("/bin/sleep", ["600"]))
            let line = Array("PIDS \(redis.pid ?? 0) \(child.pid) \(redis.folder)\n".utf8)
            _ = write(STDOUT_FILENO, line, line.count)
            kill(getpid(), SIGKILL)
        }
        let text = String(decoding: result.standardOutputContent, as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("PIDS ") })
        let pids = line.split(separator: " ").compactMap { Int32($0) }
        #expect(pids.count == 2 && !pids.contains(0))
        for pid in pids { #expect(eventually { !isAlive(pid) }) }
        // Nobody was left to remove the folder; the server may have gone before it wrote anything there.
        try? FileManager.default.removeItem(atPath: String(try #require(line.split(separator: " ").last)))
    }
}
