import Console
import Gateway
import Glibc
import HTTPServer
import Recording
import Supervision
import APIKit

/// What every process with an HTTP port can be told.
enum WebSettings {
    static let port = Setting(
        "port", "PORT", .port, variable: "PORT",
        defaultNote: "the usual one of the role",
        help: "HTTP port of the role api where it runs, else of the first role")
    static let address = Setting(
        "address", "ADDRESS", .text(upTo: 64), variable: "REEL_ADDRESS", default: "127.0.0.1",
        help: "Numeric address to listen on; 0.0.0.0 or :: for all")
    static let certificate = Setting(
        "tls-cert", "FILE", .path, variable: "REEL_TLS_CERT", defaultNote: "HTTP without TLS",
        help: "Certificate and its chain in PEM, for HTTPS; with --tls-key")
    static let certificateKey = Setting(
        "tls-key", "FILE", .path, variable: "REEL_TLS_KEY", help: "Private key of --tls-cert in PEM")
    static let tokenKeys = Setting(
        "token-keys", "DIR", .path, variable: "REEL_TOKEN_KEYS",
        defaultNote: "DIR/tokens with 'reel up', which makes a key there; else none, and nobody is let in",
        help: "Folder of the keys that tokens are checked with: NAME.hs256, NAME.pem, NAME.jwks.json")
    static let issuer = Setting(
        "token-issuer", "NAME", .text(upTo: 255), variable: "REEL_TOKEN_ISSUER", default: "reel",
        help: "Issuer (iss) that tokens must have")
    static let audience = Setting(
        "token-audience", "NAME", .text(upTo: 255), variable: "REEL_TOKEN_AUDIENCE", default: "reel",
        help: "Audience (aud) that tokens must have")
    static let corsOrigins = Setting(
        "cors-origins", "LIST", .origins, variable: "REEL_CORS_ORIGINS", defaultNote: "none",
        help: "Origins whose web pages may read answers, with commas, or *")
    static let openAPI = Setting(
        "openapi", "FILE", .path, variable: "REEL_OPENAPI",
        defaultNote: "../share/reel/openapi.json from the program's folder, where it exists",
        help: "Description of the API in JSON, answered at /api/v1/openapi.json; those of the Pipeline "
            + "Manager and the Recorder lie beside it: openapi-pipeline.json, openapi-recorder.json")
    static let connections = Setting(
        "connections", "N", .integer(10...100_000), variable: "REEL_CONNECTIONS", default: "12000",
        help: "Connections that may be open at once")
    static let uploaderIdle = Setting(
        "uploader-idle", "SECONDS", .integer(5...600), variable: "REEL_UPLOADER_IDLE_SECONDS",
        default: "30",
        help: "A recording whose uploader is not heard of for so long is taken for lost")
    static let pausedStream = Setting(
        "paused-stream", "SECONDS", .integer(1...86_400), variable: "REEL_PAUSED_STREAM_SECONDS",
        default: "3600",
        help: "A stream whose recording is paused is held for so long; what it brings meanwhile is dropped")

    /// One setting for each role.
    static let ports: [(role: RoleName, setting: Setting<UInt16>)] = RoleName.allCases.map { role in
        (
            role,
            Setting(
                "\(role.rawValue)-port", "PORT", .port,
                variable: "REEL_\(role.rawValue.uppercased())_PORT",
                defaultNote: "\(role.usualPort), or any free one where that is taken",
                help: "HTTP port of the role \(role.rawValue)")
        )
    }

    /// One setting for each kind of request.
    static let rates: [(kind: RateClass, setting: Setting<Int>)] = Domains.rates.map { kind in
        (
            kind,
            Setting(
                "rate-\(kind.rawValue)", "N", .integer(RateClass.bounds), variable: kind.variable,
                default: "\(kind.usualLimit)",
                help: "Requests of the kind \(kind.rawValue) that a subject has in a minute")
        )
    }

    static let declarations: [OptionDeclaration] =
        [
            port.declaration, address.declaration, certificate.declaration, certificateKey.declaration,
            tokenKeys.declaration, issuer.declaration, audience.declaration, corsOrigins.declaration,
            openAPI.declaration, connections.declaration, uploaderIdle.declaration,
            pausedStream.declaration,
            Common.chunkSize.declaration,
        ] + ports.map(\.setting.declaration) + rates.map(\.setting.declaration)
}

/// The checked values of a process's HTTP ports.
struct WebPlan {
    /// Ports that were named.
    var ports: [RoleName: UInt16]
    var address: String
    /// Nil for HTTP without TLS.
    var tls: CertificateFiles?
    var tokenKeys: String?
    var issuer: String
    var audience: String
    var corsOrigins: Set<String>
    /// The services' descriptions, as far as there are any.
    var documents: [GatewayService: [UInt8]]
    var connections: Int
    var uploaderSeconds: Int
    var pausedStreamSeconds: Int
    var chunkBytes: Int
    var rates = RateLimits()

    init(_ settings: Settings, _ choice: RoleChoice) throws(UsageError) {
        let command = settings.command.name
        ports = try Self.ports(settings, choice, command)
        address = try settings.require(WebSettings.address)
        tokenKeys = settings[WebSettings.tokenKeys]
        issuer = try settings.require(WebSettings.issuer)
        audience = try settings.require(WebSettings.audience)
        corsOrigins = settings[WebSettings.corsOrigins] ?? []
        connections = try settings.require(WebSettings.connections)
        uploaderSeconds = try settings.require(WebSettings.uploaderIdle)
        pausedStreamSeconds = try settings.require(WebSettings.pausedStream)
        chunkBytes = try settings.require(Common.chunkSize)
        for (kind, setting) in WebSettings.rates { rates[kind] = try settings.require(setting) }
        tls = try CertificateFiles(settings)
        documents = try Self.documents(settings, command)
    }

    private static func ports(
        _ settings: Settings, _ choice: RoleChoice, _ command: String
    ) throws(UsageError) -> [RoleName: UInt16] {
        var ports: [RoleName: UInt16] = [:]
        for (role, setting) in WebSettings.ports where choice.names.contains(role) {
            let isFirst = role == choice.listening.first
            ports[role] = settings[setting] ?? (isFirst ? settings[WebSettings.port] : nil)
        }
        for (role, port) in ports {
            if let other = ports.first(where: { $0.key.rawValue < role.rawValue && $0.value == port })?.key {
                throw UsageError(
                    ["the roles \(other.rawValue) and \(role.rawValue) cannot both have the port \(port)"],
                    command: command)
            }
        }
        return ports
    }

    /// Whether only this machine reaches it.
    var isLocal: Bool { address == "::1" || address.hasPrefix("127.") }

    private static func documents(
        _ settings: Settings, _ command: String
    ) throws(UsageError) -> [GatewayService: [UInt8]] {
        var documents: [GatewayService: [UInt8]] = [:]
        if let path = settings[WebSettings.openAPI] {
            do throws(SystemFailure) { documents[.api] = Array(try FileText.read(path).utf8) } catch {
                throw UsageError(["--openapi \(path): \(error.text)"], command: command)
            }
        }
        guard let folder = settings[WebSettings.openAPI].map(DataFolder.parent) ?? documentFolder() else {
            return documents
        }
        for service in GatewayService.allCases where documents[service] == nil {
            let name = service == .api ? "openapi.json" : "openapi-\(service.rawValue).json"
            documents[service] = (try? FileText.read("\(folder)/\(name)")).map { Array($0.utf8) }
        }
        return documents
    }

    private static func documentFolder() -> String? {
        guard let program = ProcessStart.programPath else { return nil }
        // A program that was built here and not installed has the documents in its sources.
        if let build = program.firstRange(of: "/.build/") {
            return "\(program[..<build.lowerBound])/schemas"
        }
        return "\(DataFolder.parent(of: DataFolder.parent(of: program)))/share/reel"
    }
}

extension Rule where Value == Set<String> {
    /// Origins as browsers send them (RFC 6454), with commas between; `*` for all. What no browser would
    /// ever send is refused: it would allow nothing, and nobody would see why.
    static let origins = Rule(
        "must be origins with commas between, such as https://dashboard.example or http://localhost:3000, "
            + "without a path, or *"
    ) { text in
        let origins = text.split(separator: ",", omittingEmptySubsequences: false).map {
            String($0.drop { $0 == " " }).lowercased()
        }
        return origins.allSatisfy(isOrigin) && text.utf8.count <= 2000 ? Set(origins) : nil
    }

    private static func isOrigin(_ text: String) -> Bool {
        if text == "*" { return true }
        guard let end = text.firstRange(of: "://") else { return false }
        let (scheme, place) = (text[..<end.lowerBound], text[end.upperBound...])
        let usual = ["http": ":80", "https": ":443"][String(scheme)]
        return scheme.first?.isLetter == true && !place.isEmpty
            && scheme.utf8.allSatisfy {
                $0 == 0x2D || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0)
            }
            && place.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"/?#@\"'<>\\".utf8.contains($0) }
            && !(usual.map { place.hasSuffix($0) } ?? false)
    }
}
