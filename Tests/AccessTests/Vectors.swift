import Base
import Testing

@testable import Access

/// A time, in seconds since 1970.
func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }

func bytes(_ base64url: String) throws -> [UInt8] { try #require(Base64URL.decode(base64url.utf8)) }

/// The examples of RFC 7515, appendix A, and RFC 8037, appendix A.
enum Vector {
    private static let payload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

    static func hs256() throws -> (token: String, key: TokenKey) {
        let secret = try bytes(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        let key = try #require(TokenKey(id: "a1", secret: secret))
        return (
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(payload).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            key
        )
    }

    static let modulus =
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"

    static func rs256() throws -> (token: String, key: TokenKey) {
        let info = DER.rsa(modulus: try bytes(modulus), exponent: [1, 0, 1])
        let signature =
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        return (
            "eyJhbGciOiJSUzI1NiJ9.\(payload).\(signature)",
            try #require(TokenKey(id: "a2", publicKeyInfo: info))
        )
    }

    static let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
    static let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

    static func es256() throws -> (token: String, key: TokenKey) {
        let info = DER.p256(x: try bytes(x), y: try bytes(y))
        let signature =
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        return (
            "eyJhbGciOiJFUzI1NiJ9.\(payload).\(signature)",
            try #require(TokenKey(id: "a3", publicKeyInfo: info))
        )
    }

    static let ed = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    static func eddsa() throws -> (token: String, key: TokenKey) {
        let info = DER.ed25519(try bytes(ed))
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        return (
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\(signature)",
            try #require(TokenKey(id: "a4", publicKeyInfo: info))
        )
    }
}

/// A token made of any header and payload, signed with a key that signs.
func signed(_ header: String, _ payload: String, by key: TokenKey) throws -> String {
    let message = Base64URL.encode(header.utf8) + "." + Base64URL.encode(payload.utf8)
    let signature = try #require(key.signature(over: Array(message.utf8)))
    return message + "." + Base64URL.encode(signature)
}
