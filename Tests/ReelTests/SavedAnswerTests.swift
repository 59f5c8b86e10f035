import HTTPServer
import Testing

@testable import Commands

/// The ceiling of the API's benchmark sends an answer of the gateway again.
@Suite struct SavedAnswerTests {
    @Test func headersAndBodyAreKept() throws {
        let text = "HTTP/1.1 200 OK\r\nDate: now\r\nETag: \"1:2\"\r\nContent-Length: 9\r\n\r\n{\"a\":\r\n\r\n"
        let answer = try #require(SavedAnswer(Array(text.utf8)))
        #expect(answer.headers == [HeaderField("ETag", "\"1:2\"")])
        #expect(answer.body == Array("{\"a\":\r\n\r\n".utf8))
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\n", "x\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"])
    func otherTextIsRefused(_ text: String) { #expect(SavedAnswer(Array(text.utf8)) == nil) }
}
