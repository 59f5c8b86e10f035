import EventSourcing
import Testing

@Suite("Categories of partition keys")
struct CategoryTests {
    @Test(
        "every key is of exactly one of them, and its id comes back",
        arguments: [
            ("sess-1", "", "sess-1"), ("audit/gateway-1/3", "audit", "gateway-1/3"),
            ("lamp/l1", "lamp", "l1"),
            ("lamps/l1", "lamps", "l1"), ("lamp/", "lamp", ""), ("/x", "", "/x"), ("ä/ö", "ä", "ö"),
        ])
    func one(_ key: String, _ name: String, _ id: String) {
        let all = ["", "audit", "lamp", "lamps", "ä"].map { Category($0) }
        // What begins with a slash has an empty name, and is nobody's.
        let expected = key.hasPrefix("/") ? [] : [name]
        #expect(all.filter { $0.contains(key) }.map(\.name) == expected)
        #expect(Category(of: key).name == name)
        guard !key.hasPrefix("/") else { return }
        #expect(Category(name).id(of: key) == id)
        #expect(Category(name).key(of: id) == key)
    }
}
