import Glibc
import Supervision
import Testing

@Suite("Folder locks")
struct FolderLockTests {
    @Test func aSecondLockIsRefusedAndNamesTheHolder() throws {
        let scratch = Scratch()
        let folder = scratch.path + "/made/on/the/way"
        let lock = try FolderLock(folder: folder)
        #expect(throws: FolderLockFailure.held(path: folder + "/lock", pid: getpid())) {
            try FolderLock(folder: folder)
        }
        withExtendedLifetime(lock) {}
        #expect(throws: Never.self) { try FolderLock(folder: folder, name: "other") }
    }

    @Test func aWaiterGetsTheLockWhenItIsFree() throws {
        let scratch = Scratch()
        let path = scratch.path
        let release = StopSignal()
        let holding = StopSignal()
        let holder = try OwnThread(name: "holder") {
            let lock = try FolderLock(folder: path)
            holding.set()
            release.wait()
            withExtendedLifetime(lock) {}
        }
        holding.wait()
        #expect(throws: FolderLockFailure.held(path: path + "/lock", pid: getpid())) {
            try FolderLock(folder: path, waitMilliseconds: 30)
        }
        let waiter = try OwnThread(name: "waiter") {
            try FolderLock(folder: path, waitMilliseconds: 60_000).path
        }
        release.set()
        try holder.join()
        #expect(try waiter.join() == path + "/lock")
    }

    @Test func waitingEndsWithTheStopSignal() throws {
        let scratch = Scratch()
        let path = scratch.path
        let lock = try FolderLock(folder: path)
        let stop = StopSignal()
        let waiter = try OwnThread(name: "waiter") {
            try FolderLock(folder: path, waitMilliseconds: 600_000, stop: stop).path
        }
        stop.set()
        #expect(throws: FolderLockFailure.stopped(path: path + "/lock")) { try waiter.join() }
        withExtendedLifetime(lock) {}
    }

    @Test func aChildThatInheritedTheLockKeepsIt() throws {
        let scratch = Scratch()
        var lock: FolderLock? = try FolderLock(folder: scratch.path)
        let child = try ChildProcess(.init("/bin/sleep", ["600"], inherited: [try #require(lock).descriptor]))
        lock?.note(pid: child.pid)
        lock = nil
        #expect(throws: FolderLockFailure.held(path: scratch.path + "/lock", pid: child.pid)) {
            try FolderLock(folder: scratch.path)
        }
        child.terminate(withinMilliseconds: 10_000)
        #expect(throws: Never.self) { try FolderLock(folder: scratch.path, waitMilliseconds: 60_000) }
    }

    @Test func aChildThatDidNotInheritTheLockDoesNotHoldIt() throws {
        let scratch = Scratch()
        var lock: FolderLock? = try FolderLock(folder: scratch.path)
        let child = try ChildProcess(.init("/bin/sleep", ["600"]))
        #expect(lock != nil)
        lock = nil
        // Children that other tests start have the descriptor, too, from their fork to their exec.
        #expect(throws: Never.self) { try FolderLock(folder: scratch.path, waitMilliseconds: 60_000) }
        child.terminate(withinMilliseconds: 10_000)
    }

    @Test func aFolderThatCannotBeMadeIsNamed() {
        #expect(
            throws: FolderLockFailure.system(SystemFailure("create folder", "/dev/null/x", code: ENOTDIR))
        ) {
            try FolderLock(folder: "/dev/null/x")
        }
    }
}
