import Access
import Base
import Supervision
import Console

/// The token of the embedded default: in a file for its user alone, made anew every day.
struct AdminToken: Service {
    let name = "admin-token"
    let path: String
    private let mint: TokenMint
    private static let lifetimeSeconds: Int64 = 7 * 86_400
    private static let renewMilliseconds = 86_400_000

    /// - Parameter plan: names the folder of keys, where a key is made if there is none.
    init(_ folder: DataFolder, _ plan: WebPlan) throws {
        path = folder.adminToken
        mint = try Self.mint(keys: plan.tokenKeys ?? folder.tokenKeys, plan.issuer, plan.audience)
        try write()
    }

    func run(stop: StopSignal) throws {
        while !stop.wait(milliseconds: Self.renewMilliseconds) { try write() }
    }

    private func write() throws {
        let token = mint.token(
            subject: "admin", roles: ["admin"], lifetimeSeconds: Self.lifetimeSeconds,
            at: SystemClock().now())
        try FileText.write(Array(token.utf8) + [0x0A], to: path)
    }

    /// The mint of the embedded default.
    static func mint(keys folder: String, _ issuer: String, _ audience: String) throws -> TokenMint {
        do throws(Access.KeyFailure) {
            return try TokenMint.opening(
                folder: folder, id: "embedded", algorithm: .hs256, issuer: issuer, audience: audience)
        } catch {
            throw CommandFailure(.dependency, "the folder of token keys cannot be used: \(error)")
        }
    }
}
