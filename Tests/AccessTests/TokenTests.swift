import Base
import Testing

@testable import Access

@Suite("Tokens")
struct TokenTests {
    private let secret = [UInt8](repeating: 7, count: 32)
    private let good =
        #"{"sub":"ada","exp":2000,"iat":1000,"nbf":1000,"roles":["admin"],"iss":"i","aud":"a"}"#

    private func key() throws -> TokenKey { try #require(TokenKey(id: "k", secret: secret)) }

    private func edKey() throws -> TokenKey {
        let pem = try #require(KeyHandle(generating: ())?.privatePEM)
        return try #require(TokenKey(id: "e", pem: pem))
    }

    /// Why a token is refused; nil when it isn't.
    private func refusal(
        _ token: String, _ keys: [TokenKey], _ policy: TokenPolicy = TokenPolicy(), at seconds: Int64 = 1500
    ) -> TokenRefusal? {
        do throws(TokenRefusal) {
            _ = try TokenVerifier(keys: keys, policy).verify(token, at: at(seconds))
            return nil
        } catch {
            return error
        }
    }

    @Test("The RFCs' examples have good signatures; nothing changed has")
    func vectors() throws {
        for (token, key) in [
            try Vector.hs256(), try Vector.rs256(), try Vector.es256(), try Vector.eddsa(),
        ] {
            // Their claims are not such as we want them, which is looked at behind the signature.
            let behind: TokenRefusal = key.algorithm == .eddsa ? .badClaims : .missingClaim
            #expect(refusal(token, [key]) == behind, "\(key.algorithm)")
            for change in mutations(of: token, step: 7) {
                let refusal = refusal(change, [key])
                #expect(refusal != nil && refusal != behind, "\(key.algorithm)")
            }
        }
    }

    @Test("Every claim comes out as it went in")
    func claims() throws {
        for key in [try key(), try edKey()] {
            let mint = try #require(TokenMint(key: key, issuer: "reel", audience: "api"))
            let token = mint.token(
                subject: "ada", roles: ["admin", "auditor"], projects: ["p"], lifetimeSeconds: 60,
                at: at(1000))
            let policy = TokenPolicy(issuer: "reel", audience: "api", leewaySeconds: 0, longestSeconds: 60)
            let verifier = TokenVerifier(keys: [key], policy)
            let claims = try verifier.verify(token, at: at(1059))
            #expect(
                claims.subject == "ada" && claims.roles == ["admin", "auditor"] && claims.projects == ["p"])
            #expect(claims.expires == at(1060) && claims.keyID == key.id)
            #expect(claims.tokenID?.count == 26)
            #expect(refusal(token, [key], policy, at: 1060) == .expired)
            #expect(refusal(token, [key], policy, at: 999) == .notYetValid)
        }
        let list = try signed(
            #"{"alg":"HS256"}"#, #"{"sub":"x","exp":2000.5,"project":"one"}"#, by: try key())
        let claims = try TokenVerifier(keys: [try key()], TokenPolicy()).verify(list, at: at(1))
        #expect(claims.projects == ["one"] && claims.roles == [] && claims.expires.milliseconds == 2_000_500)
    }

    @Test("The algorithm is the key's, whatever the token says")
    func confusion() throws {
        let (_, rsa) = try Vector.rs256()
        let (_, ec) = try Vector.es256()
        let ed = try edKey()
        // A public key, in whatever form, used as if it were a shared secret.
        for form in [
            DER.rsa(modulus: try bytes(Vector.modulus), exponent: [1, 0, 1]), Array(Vector.modulus.utf8),
        ] {
            let forged = try #require(TokenKey(id: "a2", secret: form))
            #expect(
                refusal(try signed(#"{"alg":"HS256","kid":"a2"}"#, good, by: forged), [rsa])
                    == .wrongAlgorithm)
            #expect(
                refusal(try signed(#"{"alg":"HS256"}"#, good, by: forged), [rsa, ec, ed]) == .wrongAlgorithm)
            #expect(
                refusal(try signed(#"{"alg":"RS256","kid":"a2"}"#, good, by: forged), [rsa]) == .badSignature)
        }
        #expect(refusal(try signed(#"{"alg":"ES256","kid":"e"}"#, good, by: ed), [ed]) == .wrongAlgorithm)
        #expect(
            refusal(try signed(#"{"alg":"EdDSA","kid":"a3"}"#, good, by: ed), [ec, ed]) == .wrongAlgorithm)
        #expect(
            refusal(try signed(#"{"alg":"HS256","kid":"z"}"#, good, by: try key()), [try key()])
                == .unknownKey)
        #expect(refusal(try signed(#"{"alg":"HS256"}"#, good, by: try key()), []) == .unknownKey)
    }

    @Test(
        "Headers that are refused",
        arguments: [
            (#"{"alg":"none"}"#, TokenRefusal.unknownAlgorithm), (#"{"alg":"None"}"#, .unknownAlgorithm),
            (#"{"alg":"NONE","kid":"k"}"#, .unknownAlgorithm), (#"{"alg":"hs256"}"#, .unknownAlgorithm),
            (#"{"alg":"HS512"}"#, .unknownAlgorithm), (#"{"alg":""}"#, .unknownAlgorithm),
            (#"{"alg":null}"#, .badHeader), (#"{"alg":["HS256"]}"#, .badHeader),
            (#"{"kid":"k"}"#, .badHeader),
            (#"{"alg":"HS256","alg":"HS256"}"#, .badHeader), (#"{"alg":"none","alg":"HS256"}"#, .badHeader),
            (#"{"alg":"HS256","kid":"k","kid":"k"}"#, .badHeader), (#"{"alg":"HS256","kid":7}"#, .badHeader),
            (#"{"alg":"HS256","typ":7}"#, .badHeader), (#"{"alg":"HS256"}x"#, .badHeader), ("[]", .badHeader),
            ("", .badHeader), (#"{"alg":"HS256","crit":["exp"],"exp":1}"#, .critical),
            (#"{"alg":"HS256","crit":[]}"#, .critical),
            (#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, .critical),
            (#"{"alg":"HS256","kid":"../k"}"#, .unknownKey), (#"{"alg":"HS256","kid":""}"#, .unknownKey),
        ])
    func headers(_ header: String, _ expected: TokenRefusal) throws {
        #expect(refusal(try signed(header, good, by: try key()), [try key()]) == expected)
    }

    @Test("Headers that are taken: a type, or keys and links that are never looked at")
    func tolerated() throws {
        for header in [
            #"{"alg":"HS256","typ":"JWT"}"#, #"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#,
            #"{"alg":"HS256","jku":"http://127.0.0.1/","x5u":"x","jwk":{"kty":"oct","k":"AA"}}"#,
        ] {
            #expect(refusal(try signed(header, good, by: try key()), [try key()]) == nil)
        }
        // A key that comes with the token signs nothing.
        let own = try #require(TokenKey(id: "o", secret: [UInt8](repeating: 9, count: 32)))
        let header =
            #"{"alg":"HS256","jwk":{"kty":"oct","k":"\#(Base64URL.encode([UInt8](repeating: 9, count: 32)))"}}"#
        #expect(refusal(try signed(header, good, by: own), [try key()]) == .badSignature)
    }

    @Test(
        "Claims that are refused",
        arguments: [
            (#"{"exp":2000}"#, TokenRefusal.missingClaim), (#"{"sub":"a"}"#, .missingClaim),
            (#"{"sub":"","exp":2000}"#, .missingClaim), (#"{"sub":7,"exp":2000}"#, .badClaims),
            (#"{"sub":"a","exp":"2000"}"#, .badClaims), (#"{"sub":"a","exp":-1}"#, .badClaims),
            (#"{"sub":"a","exp":1e300}"#, .badClaims), (#"{"sub":"a","exp":null}"#, .badClaims),
            (#"{"sub":"a","sub":"b","exp":2000}"#, .badClaims),
            (#"{"sub":"a","exp":2000,"exp":9000}"#, .badClaims),
            (#"{"sub":"a","exp":1000}"#, .expired), (#"{"sub":"a","exp":1439}"#, .expired),
            (#"{"sub":"a","exp":2000,"nbf":1561}"#, .notYetValid),
            (#"{"sub":"a","exp":2000,"iat":1561}"#, .issuedInFuture),
            (#"{"sub":"a","exp":2000,"roles":"admin","x":[[[[[[[[[1]]]]]]]]]}"#, .badClaims),
            (#"{"sub":"a","exp":2000,"roles":[7]}"#, .badClaims),
            (#"{"sub":"a","exp":2000,"roles":{}}"#, .badClaims),
            (#"{"sub":"a","exp":2000,"jti":7}"#, .badClaims), ("[]", .badClaims), ("", .badClaims),
            (#"{"sub":"a\u0000","exp":2000}"#, .badNames), (#"{"sub":"a\nb","exp":2000}"#, .badNames),
            (#"{"sub":"\u202ea","exp":2000}"#, .badNames),
            (#"{"sub":"\#(String(repeating: "ä", count: 101))","exp":2000}"#, .badNames),
            (#"{"sub":"a","exp":2000,"projects":["p","q\u0007"]}"#, .badNames),
            (#"{"sub":"a","exp":2000,"project":"q\u0085"}"#, .badNames),
        ])
    func claims(_ payload: String, _ expected: TokenRefusal) throws {
        #expect(refusal(try signed(#"{"alg":"HS256"}"#, payload, by: try key()), [try key()]) == expected)
    }

    @Test("Issuer, audience, leeway, life and size")
    func policies() throws {
        func check(_ payload: String, _ policy: TokenPolicy, at seconds: Int64 = 1500) throws -> TokenRefusal?
        {
            refusal(try signed(#"{"alg":"HS256"}"#, payload, by: try key()), [try key()], policy, at: seconds)
        }
        let bare = #"{"sub":"a","exp":2000}"#
        #expect(try check(good, TokenPolicy(issuer: "i", audience: "a")) == nil)
        #expect(try check(good, TokenPolicy(issuer: "j")) == .wrongIssuer)
        #expect(try check(good, TokenPolicy(audience: "b")) == .wrongAudience)
        #expect(try check(bare, TokenPolicy(issuer: "i")) == .missingClaim)
        #expect(try check(bare, TokenPolicy(audience: "a")) == .missingClaim)
        let many = #"{"sub":"a","exp":2000,"aud":["x","a"]}"#
        #expect(try check(many, TokenPolicy(audience: "a")) == nil)
        #expect(try check(many, TokenPolicy(audience: "A")) == .wrongAudience)
        let kelvin = #"{"sub":"a","exp":2000,"iss":"\u212aeel","aud":"\u212a"}"#
        #expect(try check(kelvin, TokenPolicy(issuer: "Keel")) == .wrongIssuer)
        #expect(try check(kelvin, TokenPolicy(audience: "K")) == .wrongAudience)
        let longest = #"{"sub":"\#(String(repeating: "ä", count: 100))","exp":2000}"#
        #expect(try check(longest, TokenPolicy()) == nil)
        #expect(try check(#"{"sub":"a","exp":2000,"aud":[]}"#, TokenPolicy(audience: "a")) == .wrongAudience)
        #expect(try check(#"{"sub":"a","exp":2000,"aud":["a",7]}"#, TokenPolicy(audience: "a")) == .badClaims)
        let leeway = TokenPolicy(leewaySeconds: 10)
        #expect(try check(good, leeway, at: 2009) == nil)
        #expect(try check(good, leeway, at: 2010) == .expired)
        #expect(try check(good, leeway, at: 990) == nil)
        #expect(try check(good, leeway, at: 989) == .notYetValid)
        #expect(try check(good, TokenPolicy(longestSeconds: 1000)) == nil)
        #expect(try check(good, TokenPolicy(longestSeconds: 999)) == .livesTooLong)
        #expect(try check(bare, TokenPolicy(longestSeconds: 999)) == .missingClaim)
        let token = try signed(#"{"alg":"HS256"}"#, good, by: try key())
        #expect(refusal(token, [try key()], TokenPolicy(limitBytes: token.utf8.count)) == nil)
        #expect(refusal(token, [try key()], TokenPolicy(limitBytes: token.utf8.count - 1)) == .tooLarge)
    }

    @Test("Texts that are no token")
    func shapes() throws {
        let token = try signed(#"{"alg":"HS256"}"#, good, by: try key())
        let parts = token.split(separator: ".")
        let shapes = [
            "", ".", "..", "...", token + ".", "." + token, parts[0] + "." + parts[1], token + "=",
            " " + token,
            token + "\n", token.replacingOccurrences("-", "+"), "\(parts[0])=.\(parts[1]).\(parts[2])",
            token + "é",
        ]
        for shape in shapes where shape != token {
            #expect(refusal(shape, [try key()]) != nil, "\(shape)")
        }
        // Without its signature, as `alg: none` has it.
        #expect(refusal("\(parts[0]).\(parts[1]).", [try key()]) == .badSignature)
        let none = Base64URL.encode(#"{"alg":"none"}"#.utf8)
        #expect(refusal("\(none).\(parts[1]).", [try key()]) == .unknownAlgorithm)
    }

    @Test("No mutation of a good token verifies")
    func mutations() throws {
        for key in [try key(), try edKey()] {
            let header = #"{"alg":"\#(key.algorithm.rawValue)","kid":"\#(key.id)"}"#
            let token = try signed(header, good, by: key)
            #expect(refusal(token, [key]) == nil)
            var count = 0
            for change in mutations(of: token, step: 1) where change != token {
                count += 1
                if refusal(change, [key]) == nil { Issue.record("verifies: \(change)") }
            }
            #expect(count > 1000)
        }
    }

    /// A token with one place changed, left out, doubled or swapped with the next, and cut off there.
    private func mutations(of token: String, step: Int) -> [String] {
        let bytes = Array(token.utf8)
        var out: [String] = []
        func add(_ change: (inout [UInt8]) -> Void) {
            var copy = bytes
            change(&copy)
            out.append(String(decoding: copy, as: UTF8.self))
        }
        for place in stride(from: 0, to: bytes.count, by: step) {
            for replacement in [bytes[place] ^ 1, bytes[place] ^ 2, 0x41, 0x2E, 0x3D]
            where replacement != bytes[place] {
                add { $0[place] = replacement }
            }
            add { $0.remove(at: place) }
            add { $0.insert($0[place], at: place) }
            if place + 1 < bytes.count, bytes[place] != bytes[place + 1] {
                add { $0.swapAt(place, place + 1) }
            }
            add { $0.removeSubrange(place...) }
        }
        return out
    }
}

extension String {
    fileprivate func replacingOccurrences(_ a: Character, _ b: Character) -> String {
        String(map { $0 == a ? b : $0 })
    }
}
