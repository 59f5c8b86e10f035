import Base
import EventSourcing
import Foundation
import Pipeline
import Recording
import Testing
import Sealing

/// Keys that are gone, replaced or changed are told apart, and nothing else is suspected.
@Suite("Keys that are missing")
struct KeyInspectionTests {
    private let folder: String
    private let ring: KeyRing

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/reel-keys-\(UUID().uuidString)"
        ring = try KeyRing.open(folder: folder)
    }

    private func record(_ session: String) throws -> KeyRecord {
        let wrapped = try ring.wrap(try SessionKey.generate(sessionID: session))
        return KeyRecord(
            sessionID: session, keyID: wrapped.keyID, keyEncryptionKeyID: wrapped.keyEncryptionKeyID,
            nonce: wrapped.nonce, ciphertext: wrapped.ciphertext, createdAt: Timestamp(milliseconds: 1))
    }

    private func findings(_ demand: KeyDemand, _ records: KeyRecord...) throws -> [KeyFinding] {
        try KeyInspection(ring: ring).findings([demand], among: records)
    }

    @Test func everyWayInWhichAKeyCannotBeHadIsNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let kept = try record("a")
        let demand = KeyDemand(sessionID: "a", keyID: kept.keyID)
        #expect(try findings(demand, kept) == [])
        #expect(try findings(KeyDemand(sessionID: "a", keyID: nil), kept) == [])
        #expect(
            try findings(demand) == [KeyFinding(sessionID: "a", keyID: kept.keyID, kind: .missing)])
        let other = try record("a")
        #expect(
            try findings(demand, other) == [
                KeyFinding(sessionID: "a", keyID: kept.keyID, kind: .replaced, found: other.keyID)
            ])
        // Another session's wrapped key under this one's names.
        var forged = kept
        (forged.nonce, forged.ciphertext) = (other.nonce, other.ciphertext)
        #expect(
            try findings(demand, forged) == [KeyFinding(sessionID: "a", keyID: kept.keyID, kind: .unusable)])
        var short = kept
        short.ciphertext.removeLast()
        #expect(try findings(demand, short).map(\.kind) == [.unusable])
        // The file of the key-encryption key goes while its bytes are in memory.
        let kek = kept.keyEncryptionKeyID
        let (path, aside) = ("\(folder)/\(kek).kek", "\(folder)/aside")
        try FileManager.default.moveItem(atPath: path, toPath: aside)
        #expect(
            try findings(demand, kept) == [
                KeyFinding(sessionID: "a", keyID: kept.keyID, kind: .unwrappable, found: kek)
            ])
        try FileManager.default.moveItem(atPath: aside, toPath: path)
        #expect(try findings(demand, kept) == [])
    }

    @Test func aFindingNamesSessionAndKeyAndWhatToDo() throws {
        try? FileManager.default.removeItem(atPath: folder)
        for kind in KeyFinding.Kind.allCases {
            let text = KeyFinding(sessionID: "s-1", keyID: "key-7", kind: kind, found: "f-3").description
            #expect(text.hasPrefix("session s-1: ") && text.contains("key-7"), "\(text)")
            #expect(text.contains("back from a backup"), "\(text)")
        }
    }

    @Test func anEmptiedFolderOfKeysGetsNoNewKeyWhereSomeAreNeeded() throws {
        try? FileManager.default.removeItem(atPath: folder)
        let failure = KeyFailure.lost(folder: folder, ids: ["kek-1"])
        #expect(throws: failure) { try KeyRing.open(folder: folder, unlessNeeded: { ["kek-1"] }) }
        #expect(throws: failure) { try KeyRing.open(folder: folder, unlessNeeded: { ["kek-1"] }) }
        #expect("\(failure)".contains("kek-1") && "\(failure)".contains("reel keys init"))
        #expect(try !KeyRing.hasKey(folder: folder))
        let made = try KeyRing.open(folder: folder, unlessNeeded: { [] }).activeKey().id
        // Once there is one nobody is asked.
        let again = try KeyRing.open(folder: folder, unlessNeeded: { throw failure }).activeKey().id
        #expect(again == made)
        #expect(try KeyRing.hasKey(folder: folder))
        try? FileManager.default.removeItem(atPath: folder)
    }
}
