internal import Base

/// Whose a thing is.
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
}

/// Who asks: what a verified token says.
package struct Subject: Sendable, Hashable {
    /// Its name, which owners of things are compared with.
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

    /// How far a permission goes for it.
    package func reach(_ permission: Permission) -> Reach {
        roles.map(permission.reach).max() ?? .none
    }

    /// Whether it may do something to a thing.
    package func may(_ permission: Permission, _ thing: Ownership) -> Bool {
        switch reach(permission) {
        case .none: false
        case .owned: owns(thing)
        case .shared: owns(thing) || belongs(to: thing)
        case .all: true
        }
    }

    /// Whether it may do something that concerns no single thing.
    package func may(_ permission: Permission) -> Bool { reach(permission) == .all }

    /// How a request is to be answered that concerns an existing thing. Who may not even see it must not
    /// learn that it exists.
    /// - Parameter seeing: the permission to see it.
    package func decision(
        _ permission: Permission, _ thing: Ownership, seeing: Permission
    ) -> AccessDecision {
        if may(permission, thing) { return .allowed }
        return may(seeing, thing) ? .forbidden : .hidden
    }

    /// Whether it may make a thing of that ownership. Whoever does not reach everything makes things of its
    /// own alone, in a project that it belongs to or in none.
    package func mayMake(_ thing: Ownership, by permission: Permission) -> Bool {
        may(permission, thing) && (reach(permission) == .all || mayUse(thing))
    }

    /// Whether a thing may be changed from one ownership to another: both must be within reach, so that
    /// nobody gives away, or takes, what is another's. Of a project that is another's nobody takes a thing
    /// out, and nobody puts one in.
    package func mayMove(_ before: Ownership, to after: Ownership, by permission: Permission) -> Bool {
        guard may(permission, before) else { return false }
        if before.isIdentical(to: after) || reach(permission) == .all { return true }
        guard may(permission, after) else { return false }
        return areIdentical(before.project, after.project) || mayUse(before) && mayUse(after)
    }

    /// Whose things its lists show; nil for everybody's.
    package func audience(_ seeing: Permission) -> Audience? {
        switch reach(seeing) {
        case .all: nil
        case .shared: Audience(owner: id, projects: projects)
        case .owned: Audience(owner: id, projects: [])
        case .none: Audience(owner: nil, projects: [])
        }
    }

    // An empty name owns nothing, and is no project's: a thing may have an empty owner and project.
    private func owns(_ thing: Ownership) -> Bool {
        !id.isEmpty && thing.owner?.isIdentical(to: id) ?? false
    }

    private func belongs(to thing: Ownership) -> Bool {
        thing.project?.isEmpty == false && thing.isOf(projects)
    }

    /// Whether its project is one of the subject's own, or it has none.
    private func mayUse(_ thing: Ownership) -> Bool {
        thing.project?.isEmpty ?? true || belongs(to: thing)
    }
}

/// What becomes of a request.
package enum AccessDecision: Sendable, Hashable {
    /// It goes on.
    case allowed
    /// 403: it is seen, and not for the subject to touch.
    case forbidden
    /// 404: for the subject there is no such thing.
    case hidden
}

/// Whose things somebody sees: its own, and those of its projects.
package struct Audience: Sendable, Hashable {
    /// Things of this owner; nil for none.
    package var owner: String?
    /// Things of these projects.
    package var projects: Set<String>
    package init(owner: String?, projects: Set<String>) {
        self.owner = owner.flatMap { $0.isEmpty ? nil : $0 }
        self.projects = projects.subtracting([""])
    }

    /// Whether it sees a thing.
    package func sees(_ thing: Ownership) -> Bool {
        let isOwner = owner.flatMap { owner in thing.owner?.isIdentical(to: owner) } ?? false
        return isOwner || thing.isOf(projects)
    }
}
