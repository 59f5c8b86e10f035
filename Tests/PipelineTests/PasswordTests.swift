import Engine
import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import Simulation
import Testing
import Sealing

@Suite("RDP passwords")
struct PasswordTests {
    private let records = InMemoryPasswordRecords()
    private let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("reel-\(UUID().uuidString)")

    private func passwords() throws -> (RDPPasswords, KeyRing) {
        let ring = try KeyRing.open(folder: folder.path)
        return (RDPPasswords(ring: ring, records: records), ring)
    }

    private func text(_ password: OpenedPassword?) -> String? {
        password?.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    @Test("a password is set, replaced and removed, and only sealed in between")
    func life() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let (passwords, _) = try passwords()
        #expect(try passwords.open(ofSession: "s") == nil)
        #expect(try passwords.put(RDPPassword("hunter2 é"), ofSession: "s"))
        let opened = try passwords.open(ofSession: "s")
        #expect(text(opened) == "hunter2 é")
        let first = try #require(records.record(ofSession: "s"))
        #expect(first.ciphertext.count == 256 + 16)
        var shown = "\(opened as Any) \(first)"
        dump(opened, to: &shown)
        #expect(!shown.contains("hunter2"))
        #expect(try passwords.put(RDPPassword("other"), ofSession: "s"))
        #expect(text(try passwords.open(ofSession: "s")) == "other")
        #expect(records.record(ofSession: "s")?.nonce != first.nonce)
        try passwords.remove(ofSession: "s")
        #expect(try passwords.open(ofSession: "s") == nil)
        #expect(try passwords.put(RDPPassword("again"), ofSession: "s"))
        records.remove(session: "s", forGood: true)
        #expect(try !passwords.put(RDPPassword("late"), ofSession: "s"))
        #expect(try passwords.open(ofSession: "s") == nil)
    }

    @Test("a deleted session's password goes for good, and records of who did what complete nothing")
    func deleted() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let (passwords, _) = try passwords()
        let log = InMemoryEventLog()
        let store = try log.open()
        let plant = try Plant(log)
        let places = SessionRemoval.Places(plant.vault, passwords: records)
        let handler = SessionRemoval(places, clock: SystemClock(), report: .silent)
        for session in ["s", "t"] {
            let desk = CommandHandler(session: session, store: store, clock: SystemClock())
            let context = EventContext(source: "/reel/test", actor: .system("test"))
            try desk.handle(
                .create(Plant.session(session, chunkBytes: 4096)), id: "c-\(session)", context: context)
            #expect(try passwords.put(RDPPassword("x"), ofSession: session))
            if session == "s" {
                try desk.handle(.delete(tagCounts: false), id: "d-\(session)", context: context)
            }
        }
        let record = AuditRecord(
            .sessionDelete, on: AuditResource(.session, id: "s"), session: "s", outcome: .allowed,
            actor: AuditActor(type: .user, subject: "alice"))
        let event = ProposedEvent(
            record, id: "a", time: SystemClock().now(),
            context: EventContext(source: "/reel/test", actor: record.actor.envelope),
            version: AuditRecord.version(at: .newest))
        _ = try store.append([event], to: AuditRecord.historyKey("w", 1), expecting: .any)
        let before = log.allEvents().count
        for partition in 0..<log.partitioning.count {
            try handler.handle(log.allEvents().filter { $0.position.partition == partition }, store)
        }
        #expect(try passwords.open(ofSession: "s") == nil)
        #expect(try !passwords.put(RDPPassword("late"), ofSession: "s"))
        #expect(text(try passwords.open(ofSession: "t")) == "x")
        #expect(log.allEvents().count == before)
    }

    @Test("the length is hidden, the bounds hold, and a rotated key still opens")
    func forms() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let (passwords, ring) = try passwords()
        for (count, size) in [(1, 256), (254, 256), (255, 512), (1020, 1024)] {
            #expect(
                try passwords.put(RDPPassword(String(repeating: "x", count: count)), ofSession: "s\(count)"))
            #expect(records.record(ofSession: "s\(count)")?.ciphertext.count == size + 16)
        }
        #expect(throws: KeyFailure.self) { try passwords.put(RDPPassword(""), ofSession: "s") }
        #expect(throws: KeyFailure.self) {
            try passwords.put(RDPPassword(String(repeating: "x", count: 1021)), ofSession: "s")
        }
        #expect(throws: KeyFailure.self) { try passwords.put(RDPPassword("x"), ofSession: "../s") }
        try ring.rotate()
        #expect(text(try passwords.open(ofSession: "s1020"))?.count == 1020)
    }

    @Test("one that was changed, moved to another session or sealed by another key does not open")
    func damage() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let (passwords, ring) = try passwords()
        #expect(try passwords.put(RDPPassword("hunter2"), ofSession: "s"))
        let sound = try #require(records.record(ofSession: "s"))
        func refused(_ change: (inout PasswordRecord) -> Void) {
            var record = sound
            change(&record)
            _ = records.put(record)
            #expect(throws: KeyFailure.self) { try passwords.open(ofSession: record.sessionID) }
        }
        refused { $0.sessionID = "t" }
        for place in sound.ciphertext.indices { refused { $0.ciphertext[place] ^= 1 } }
        refused { $0.nonce[3] ^= 1 }
        refused { $0.nonce.removeLast() }
        refused { $0.ciphertext.removeLast() }
        refused { $0.ciphertext = [] }
        let other = try ring.rotate().id
        refused { $0.keyEncryptionKeyID = other }
        refused { $0.keyEncryptionKeyID = "kek-0" }
        _ = records.put(sound)
        #expect(text(try passwords.open(ofSession: "s")) == "hunter2")
    }
}
