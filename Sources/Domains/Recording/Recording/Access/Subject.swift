internal import Base

/// Whose a session is.
package struct Ownership: Sendable, Hashable {
    /// Its owner, if it has one.
    package var owner: String?
    /// Its project, if it has one.
    package var project: String?
    package init(owner: String?, project: String?) {
        self.owner = owner
        self.project = project
    }

    /// Whether both belong to the same owner and project.
    func isIdentical(to other: Ownership) -> Bool {
        areIdentical(owner, other.owner) && areIdentical(project, other.project)
    }

    /// Whether its project is one of these.
    func isOf(_ projects: Set<String>) -> Bool {
        guard let project else { return false }
        return projects.contains { $0.isIdentical(to: project) }
    }

    /// Whose the described session is.
    package init(_ metadata: SessionMetadata) {
        self.init(owner: metadata.owner, project: metadata.project)
    }
}

/// Who asks: what a verified token says.
package struct Subject: Sendable, Hashable {
    /// Its name, which owners of sessions are compared with.
    package var id: String
    /// What it is; the farthest reach of several roles counts.
    package var roles: Set<Role>
    /// Projects that it belongs to.
    package var projects: Set<String>
    package init(id: String, roles: Set<Role>, projects: Set<String> = []) {
        self.id = id
        self.roles = roles
        self.projects = projects
    }

    /// How far an operation goes for it.
    package func reach(_ operation: Operation) -> Reach {
        roles.map { Permissions.reach(of: $0, operation) }.max() ?? .none
    }

    /// Whether it may do something to a session.
    package func may(_ operation: Operation, _ session: Ownership) -> Bool {
        switch reach(operation) {
        case .none: false
        case .owned: owns(session)
        case .shared: owns(session) || belongs(to: session)
        case .all: true
        }
    }

    /// Whether it may do something that concerns no single session.
    package func may(_ operation: Operation) -> Bool { reach(operation) == .all }

    /// How a request is to be answered that concerns an existing session.
    ///
    /// Who may not even see a session must not learn that it exists.
    package func decision(_ operation: Operation, _ session: Ownership) -> AccessDecision {
        if may(operation, session) { return .allowed }
        return may(.readSession, session) ? .forbidden : .hidden
    }

    /// Whether it may make a session of that ownership. Whoever does not reach everything makes sessions of
    /// its own alone, in a project that it belongs to or in none.
    package func mayCreate(_ session: Ownership) -> Bool {
        may(.createSession, session) && (reach(.createSession) == .all || mayUse(session))
    }

    /// Whether a session may be changed from one ownership to another: both must be within reach, so that
    /// nobody gives away, or takes, what is another's. Of a project that is another's nobody takes a session
    /// out, and nobody puts one in.
    package func mayMove(_ before: Ownership, to after: Ownership) -> Bool {
        guard may(.updateSession, before) else { return false }
        if before.isIdentical(to: after) || reach(.updateSession) == .all { return true }
        guard may(.updateSession, after) else { return false }
        return areIdentical(before.project, after.project) || mayUse(before) && mayUse(after)
    }

    /// Whose sessions its lists show; nil for everybody's.
    package var audience: Audience? {
        switch reach(.readSession) {
        case .all: nil
        case .shared: Audience(owner: id, projects: projects)
        case .owned: Audience(owner: id, projects: [])
        case .none: Audience(owner: nil, projects: [])
        }
    }

    // An empty name owns nothing, and is no project's: sessions may have an empty owner and project.
    private func owns(_ session: Ownership) -> Bool {
        !id.isEmpty && session.owner?.isIdentical(to: id) ?? false
    }

    private func belongs(to session: Ownership) -> Bool {
        session.project?.isEmpty == false && session.isOf(projects)
    }

    /// Whether its project is one of the subject's own, or it has none.
    private func mayUse(_ session: Ownership) -> Bool {
        session.project?.isEmpty ?? true || belongs(to: session)
    }
}

/// What becomes of a request.
package enum AccessDecision: Sendable, Hashable {
    /// It goes on.
    case allowed
    /// 403: it is seen, and not for the subject to touch.
    case forbidden
    /// 404: for the subject there is no such session.
    case hidden
}

/// Whose sessions somebody sees: its own, and those of its projects.
package struct Audience: Sendable, Hashable {
    /// Sessions of this owner; nil for none.
    package var owner: String?
    /// Sessions of these projects.
    package var projects: Set<String>
    package init(owner: String?, projects: Set<String>) {
        self.owner = owner.flatMap { $0.isEmpty ? nil : $0 }
        self.projects = projects.subtracting([""])
    }

    /// Whether it sees a session.
    package func sees(_ session: Ownership) -> Bool {
        let isOwner = owner.flatMap { owner in session.owner?.isIdentical(to: owner) } ?? false
        return isOwner || session.isOf(projects)
    }
}
