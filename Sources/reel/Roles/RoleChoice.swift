import Pipeline

/// What a process can be there for; `reel up` is all of them that there are.
enum RoleName: String, CaseIterable {
    case pipeline, recorder, processor, storage, api, projector

    /// Stages that the role works on unless it is told others.
    var stages: Set<StageName> {
        switch self {
        case .processor: [.compress, .encrypt, .validate]
        case .storage: [.store]
        case .pipeline, .recorder, .api, .projector: []
        }
    }

    /// Its usual HTTP port.
    var usualPort: UInt16 {
        switch self {
        case .pipeline: 8083
        case .recorder: 8084
        case .processor: 8085
        case .storage: 8086
        case .api: 8087
        case .projector: 8088
        }
    }

    /// Why there is nothing to run for a role yet, and what to do instead; nil for one that there is.
    var missing: String? {
        switch self {
        case .recorder:
            "a recorder service (desktops over RDP, told by HTTP) does not exist yet; record a file or a "
                + "stream with 'reel record', on any machine that reaches the servers and the spool"
        case .pipeline, .processor, .storage, .api, .projector: nil
        }
    }
}

/// Which roles a process has, and which stages of the chunks' way are its own.
struct RoleChoice {
    let names: Set<RoleName>
    let stages: Set<StageName>

    /// - Parameter processorStages: the processor's stages; nil for the usual ones.
    init(_ names: Set<RoleName>, processorStages: Set<StageName>? = nil) {
        self.names = names
        var stages: Set<StageName> = []
        for name in names {
            stages.formUnion(name == .processor ? processorStages ?? name.stages : name.stages)
        }
        self.stages = stages
    }

    /// Everything that there is.
    static let everything = RoleChoice(Set(RoleName.allCases.filter { $0.missing == nil }))

    /// Whether it touches content: sealed files, keys, the spool.
    var needsVault: Bool { !stages.isEmpty || names.contains(.api) }
    /// The port of a process: of several roles the API's, else the first one's.
    var usualPort: UInt16 {
        if names.contains(.api) { return RoleName.api.usualPort }
        return RoleName.allCases.first(where: names.contains)?.usualPort ?? RoleName.api.usualPort
    }
    /// Whether it tidies the spool.
    var needsSpool: Bool { needsVault || names.contains(.pipeline) }

    /// In the order of the declaration, for messages.
    var text: String { RoleName.allCases.filter(names.contains).map(\.rawValue).joined(separator: ",") }
    /// In the order of the chunks' way, for messages.
    var stagesText: String { stages.sorted().map(\.rawValue).joined(separator: ",") }
}
