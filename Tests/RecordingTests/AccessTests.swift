import Recording
import Testing
import Access

@Suite("Roles and permissions")
struct AccessTests {
    @Test("The table of permissions")
    func table() {
        print(Permission.table(Permission.recording, Role.recording))
        #expect(
            Permission.table(Permission.recording, Role.recording) == """
                operation               admin  session_manager  session_operator  session_viewer  auditor
                create_session          all    all              owned             none            none
                read_session            all    all              shared            shared          all
                update_session          all    all              owned             none            none
                control_session         all    all              owned             none            none
                delete_session          all    all              none              none            none
                hold_session            all    none             none              none            all
                read_holds              all    all              none              none            all
                upload_chunk            all    all              owned             none            none
                read_chunks             all    all              shared            shared          all
                read_content            all    all              shared            shared          all
                read_sealed             all    all              shared            shared          all
                read_proof              all    all              shared            shared          all
                read_pipeline           all    all              shared            shared          all
                control_pipeline        all    all              owned             none            none
                read_statistics         all    all              shared            shared          all
                read_system_statistics  all    all              none              none            all
                read_events             all    all              shared            shared          all
                read_all_events         all    all              none              none            all
                export_key              all    none             none              none            all
                read_audit              all    none             none              none            all
                read_configuration      all    all              none              none            all
                change_configuration    all    none             none              none            none
                """)
    }

    private let mine = Ownership(owner: "me", project: "other")
    private let ours = Ownership(owner: "you", project: "ours")
    private let theirs = Ownership(owner: "you", project: "other")
    private let nobodys = Ownership(owner: nil, project: nil)

    @Test("Everybody reaches exactly as far as the table says", arguments: Role.recording)
    func reaches(role: Role) {
        let subject = Subject(id: "me", roles: [role], projects: ["ours"])
        for operation in Permission.recording {
            let reach = operation.reach(of: role)
            #expect(subject.may(operation, mine) == (reach >= .owned), "\(operation)")
            #expect(subject.may(operation, ours) == (reach >= .shared), "\(operation)")
            #expect(subject.may(operation, theirs) == (reach == .all), "\(operation)")
            #expect(subject.may(operation, nobodys) == (reach == .all), "\(operation)")
            #expect(subject.may(operation) == (reach == .all), "\(operation)")
        }
    }

    @Test("Names that merely look the same are different names")
    func lookalikes() {
        // The sign for Kelvin, and an angstrom; Unicode calls them the same as K and Å.
        for (name, other) in [("K", "\u{212A}"), ("\u{C5}", "\u{212B}"), ("\u{E9}", "e\u{301}")] {
            #expect(name == other)
            let session = Ownership(owner: name, project: name)
            let stranger = Subject(id: other, roles: [.sessionOperator], projects: [other])
            #expect(stranger.decision(.readSession, session) == .hidden)
            #expect(!Audience(owner: other, projects: [other]).sees(session))
            let owner = Subject(id: name, roles: [.sessionOperator], projects: [name])
            #expect(owner.decision(.readSession, session) == .allowed)
            #expect(Audience(owner: name, projects: []).sees(session))
            #expect(!owner.mayMove(session, to: Ownership(owner: other, project: name)))
        }
    }

    @Test("What cannot be seen does not exist; what is seen and not allowed is forbidden")
    func decisions() {
        let viewer = Subject(id: "me", roles: [.sessionViewer], projects: ["ours"])
        #expect(viewer.decision(.readContent, ours) == .allowed)
        #expect(viewer.decision(.deleteSession, mine) == .forbidden)
        #expect(viewer.decision(.readSession, theirs) == .hidden)
        #expect(viewer.decision(.deleteSession, theirs) == .hidden)
        let auditor = Subject(id: "me", roles: [.auditor])
        #expect(auditor.decision(.controlSession, theirs) == .forbidden)
        let none = Subject(id: "me", roles: [])
        for operation in Permission.recording { #expect(none.decision(operation, mine) == .hidden) }
    }

    @Test("Several roles reach as far as the farthest")
    func several() {
        let both = Subject(id: "me", roles: [.sessionViewer, .sessionManager])
        #expect(both.may(.deleteSession, theirs))
        #expect(!both.may(.readAudit))
    }

    @Test("An audience sees what its subject may read", arguments: Role.recording)
    func audiences(role: Role) {
        for id in ["me", ""] {
            // A token may name an empty project: no session is in it.
            let subject = Subject(id: id, roles: [role], projects: ["ours", ""])
            let sessions = [
                mine, ours, theirs, nobodys, Ownership(owner: "", project: nil),
                Ownership(owner: nil, project: ""),
            ]
            for session in sessions {
                let sees = subject.audience?.sees(session) ?? true
                #expect(sees == subject.may(.readSession, session), "\(session)")
            }
        }
        #expect(Subject(id: "me", roles: []).audience?.sees(mine) == false)
    }
}
