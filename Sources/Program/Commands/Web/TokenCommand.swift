import Access
import Base
import Console
import Recording

/// `reel token`: a token for the API of the embedded default.
enum TokenCommand: Command {
    private static let subject = Setting(
        "subject", "NAME", .text(upTo: 100), isRequired: true, help: "Whom the token is for")
    private static let roles = Setting(
        "role", "LIST", .text(upTo: 200), default: Access.Role.sessionViewer.rawValue,
        help: "Roles with commas: " + Domains.roles.map(\.rawValue).joined(separator: ", "))
    private static let projects = Setting(
        "project", "LIST", .text(upTo: 1000), defaultNote: "none",
        help: "Projects that it belongs to, with commas")
    private static let expires = Setting(
        "expires", "TIME", .duration, default: "24h", help: "How long the token is good: 15m, 24h, 30d")

    static let declaration = CommandDeclaration(
        "token", summary: "Make a token for the API",
        details: "Signs with the key that 'reel up' made in DIR/tokens. The token alone goes to standard "
            + "output; whoever has it is who it says.",
        options: [
            subject.declaration, roles.declaration, projects.declaration, expires.declaration,
            WebSettings.tokenKeys.declaration, WebSettings.issuer.declaration,
            WebSettings.audience.declaration, Common.data.declaration, Common.config.declaration,
        ],
        examples: [
            "reel token --subject anna --role session_operator --project apollo",
            "curl -H \"Authorization: Bearer $(reel token --subject me --role admin)\" "
                + "http://127.0.0.1:8087/api/v1/sessions",
        ],
        statuses: [Common.usageStatus, "3  there is no data folder, or its key cannot be used"])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let names = list(try settings.require(roles))
        let unknown = names.filter { !Domains.roles.contains(Access.Role($0)) }
        guard unknown.isEmpty, !names.isEmpty else {
            throw UsageError(
                ["--role: there is no role \(unknown.joined(separator: ", "))"],
                command: settings.command.name)
        }
        let folder = try keys(settings)
        let mint = try AdminToken.mint(
            keys: folder, try settings.require(WebSettings.issuer),
            try settings.require(WebSettings.audience))
        try Output.line(
            mint.token(
                subject: try settings.require(subject), roles: names,
                projects: list(settings[projects] ?? ""),
                lifetimeSeconds: Int64(max(1, try settings.require(expires) / 1000)),
                at: SystemClock().now()))
        return .success
    }

    private static func keys(_ settings: Settings) throws -> String {
        if let named = settings[WebSettings.tokenKeys] { return named }
        let data = settings[Common.data] ?? Common.defaultData
        guard let folder = DataFolder(existing: data) else {
            throw CommandFailure(
                .dependency, "there is no data folder \(data); start one with 'reel up --data \(data)'")
        }
        return folder.tokenKeys
    }

    private static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.drop { $0 == " " }) }
    }
}
