import Gateway
import Pipeline

/// What a process can be there for; `reel up` is all of them.
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

    /// What sessions are worked with over at its port; nil where that tells health and figures alone.
    var service: GatewayService? {
        switch self {
        case .pipeline: .pipeline
        case .recorder: .recorder
        case .api: .api
        case .processor, .storage, .projector: nil
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

    /// All of them.
    static let everything = RoleChoice(Set(RoleName.allCases))

    /// Whether it touches content: sealed files, keys, the spool.
    var needsVault: Bool { !stages.isEmpty || servesSessions }
    /// Whether sessions are worked with over one of its ports.
    var servesSessions: Bool { names.contains { $0.service != nil } }
    /// In the order of the declaration; the API first, whose port is the process's.
    var listening: [RoleName] {
        RoleName.allCases.filter { names.contains($0) && $0 == .api }
            + RoleName.allCases.filter { names.contains($0) && $0 != .api }
    }

    /// In the order of the declaration, for messages.
    var text: String { RoleName.allCases.filter(names.contains).map(\.rawValue).joined(separator: ",") }
    /// In the order of the chunks' way, for messages.
    var stagesText: String { stages.sorted().map(\.rawValue).joined(separator: ",") }
}
