import Recording
import Testing
import Access

/// Every ownership that matters to somebody called `me` who belongs to the projects `ours` and `also`.
private let owners: [String?] = ["me", "you", "", nil]
private let projects: [String?] = ["ours", "also", "other", "", nil]
private let all = owners.flatMap { owner in projects.map { Ownership(owner: owner, project: $0) } }

@Suite("Whose a session may become")
struct OwnershipTests {
    private func subject(_ role: Role) -> Subject {
        Subject(id: "me", roles: [role], projects: ["ours", "also"])
    }

    private func isMine(_ session: Ownership) -> Bool { session.owner == "me" }

    /// One of the subject's own projects, or none.
    private func isOurs(_ session: Ownership) -> Bool {
        session.project == "ours" || session.project == "also" || (session.project ?? "").isEmpty
    }

    @Test("An operator makes sessions of its own, in its own projects or in none", arguments: Role.recording)
    func creating(role: Role) {
        for session in all {
            let expected =
                switch role {
                case .admin, .sessionManager: true
                case .sessionOperator: isMine(session) && isOurs(session)
                default: false
                }
            #expect(subject(role).mayCreate(session) == expected, "\(role): \(session)")
        }
    }

    @Test("Nobody gives away what is theirs, or takes or places what is another's", arguments: Role.recording)
    func moving(role: Role) {
        for before in all {
            for after in all {
                let isKept = before.project == after.project
                let expected =
                    switch role {
                    case .admin, .sessionManager: true
                    case .sessionOperator:
                        // Whatever its project, the owner may change what has nothing to do with it.
                        isMine(before) && isMine(after) && (isKept || isOurs(before) && isOurs(after))
                    default: false
                    }
                #expect(
                    subject(role).mayMove(before, to: after) == expected,
                    "\(role): from \(before) to \(after)")
            }
        }
    }

    @Test("Somebody without a name owns nothing")
    func nameless() {
        let nobody = Subject(id: "", roles: [.sessionOperator], projects: ["ours"])
        for session in all {
            #expect(!nobody.mayCreate(session))
            for after in all { #expect(!nobody.mayMove(session, to: after)) }
        }
    }

    @Test("With several roles the farthest counts")
    func several() {
        let both = Subject(id: "me", roles: [.sessionOperator, .sessionManager])
        for session in all { #expect(both.mayCreate(session) && both.mayMove(all[0], to: session)) }
    }
}
