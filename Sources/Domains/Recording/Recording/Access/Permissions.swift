package import Access

extension Role {
    /// Every session.
    package static let sessionManager = Role("session_manager")
    /// Sessions of its own: makes them, records, looks after them.
    package static let sessionOperator = Role("session_operator")
    /// Looks at what it owns and at what is shared with its projects.
    package static let sessionViewer = Role("session_viewer")

    /// The roles that somebody can have who works with recorded sessions.
    package static let recording: [Role] = [
        .admin, .sessionManager, .sessionOperator, .sessionViewer, .auditor,
    ]
}

// What may be asked of the services of recorded sessions.
extension Permission {
    private init(
        _ name: String, _ manager: Reach, _ operator: Reach, _ viewer: Reach, _ auditor: Reach
    ) {
        self.init(
            name,
            [
                .sessionManager: manager, .sessionOperator: `operator`, .sessionViewer: viewer,
                .auditor: auditor,
            ])
    }

    //                                                       manager, operator, viewer, auditor
    /// Make sessions.
    package static let createSession = Permission("create_session", .all, .owned, .none, .none)
    /// See a session, also as an item of a list.
    package static let readSession = Permission("read_session", .all, .shared, .shared, .all)
    /// Change how a session is described.
    package static let updateSession = Permission("update_session", .all, .owned, .none, .none)
    /// Start, pause, resume and stop.
    package static let controlSession = Permission("control_session", .all, .owned, .none, .none)
    /// Delete sessions.
    package static let deleteSession = Permission("delete_session", .all, .none, .none, .none)
    /// Set and lift legal holds.
    package static let holdSession = Permission("hold_session", .none, .none, .none, .all)
    /// Which cases hold a session, and why.
    package static let readHolds = Permission("read_holds", .all, .none, .none, .all)
    /// Hand in chunks.
    package static let uploadChunk = Permission("upload_chunk", .all, .owned, .none, .none)
    /// What is known of chunks, not what they hold.
    package static let readChunks = Permission("read_chunks", .all, .shared, .shared, .all)
    /// Recorded bytes: downloads of the original, and the media.
    package static let readContent = Permission("read_content", .all, .shared, .shared, .all)
    /// Sealed files, useless without the key.
    package static let readSealed = Permission("read_sealed", .all, .shared, .shared, .all)
    /// Read proofs.
    package static let readProof = Permission("read_proof", .all, .shared, .shared, .all)
    /// See how far processing is.
    package static let readPipeline = Permission("read_pipeline", .all, .shared, .shared, .all)
    /// Hold processing, and let it go on.
    package static let controlPipeline = Permission("control_pipeline", .all, .owned, .none, .none)
    /// Read the statistics of one session.
    package static let readStatistics = Permission("read_statistics", .all, .shared, .shared, .all)
    /// Read figures of the whole system.
    package static let readSystemStatistics = Permission("read_system_statistics", .all, .none, .none, .all)
    /// The events of one session.
    package static let readEvents = Permission("read_events", .all, .shared, .shared, .all)
    /// The events of all sessions.
    package static let readAllEvents = Permission("read_all_events", .all, .none, .none, .all)
    /// Take out data keys.
    package static let exportKey = Permission("export_key", .none, .none, .none, .all)
    /// Who did what.
    package static let readAudit = Permission("read_audit", .none, .none, .none, .all)
    /// See how processes are configured.
    package static let readConfiguration = Permission("read_configuration", .all, .none, .none, .all)
    /// Change how processes are configured.
    package static let changeConfiguration = Permission("change_configuration", .none, .none, .none, .none)

    /// All of them.
    package static let recording: [Permission] = [
        .createSession, .readSession, .updateSession, .controlSession, .deleteSession, .holdSession,
        .readHolds, .uploadChunk, .readChunks, .readContent, .readSealed, .readProof, .readPipeline,
        .controlPipeline, .readStatistics, .readSystemStatistics, .readEvents, .readAllEvents, .exportKey,
        .readAudit, .readConfiguration, .changeConfiguration,
    ]
}

extension Ownership {
    /// Whose the described session is.
    package init(_ metadata: SessionMetadata) {
        self.init(owner: metadata.owner, project: metadata.project)
    }
}

extension Subject {
    /// How a request is to be answered that concerns an existing session.
    package func decision(_ permission: Permission, _ session: Ownership) -> AccessDecision {
        decision(permission, session, seeing: .readSession)
    }

    /// Whether it may make a session of that ownership.
    package func mayCreate(_ session: Ownership) -> Bool { mayMake(session, by: .createSession) }

    /// Whether a session may be changed from one ownership to another.
    package func mayMove(_ before: Ownership, to after: Ownership) -> Bool {
        mayMove(before, to: after, by: .updateSession)
    }

    /// Whose sessions its lists show; nil for everybody's.
    package var audience: Audience? { audience(.readSession) }
}
