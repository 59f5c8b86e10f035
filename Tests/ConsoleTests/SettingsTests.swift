import Console
import Testing

@Suite struct SettingsTests {
    @Test func nearestSourceWins() throws {
        let environment = ["CODEC": "none"]
        let file = "CODEC=zstd\nSIZE_MB=5\n"
        let all = try Fixture.settings(
            "record", "f", "--name=a", "--codec=zstd", environment: environment, file: "CODEC=none")
        #expect(all[Fixture.codec] == "zstd")
        let two = try Fixture.settings("record", "f", "--name=a", environment: environment, file: file)
        #expect(two[Fixture.codec] == "none")
        #expect(two[Fixture.size] == 5 * 1_048_576)
        let none = try Fixture.settings("record", "f", "--name=a")
        #expect(none[Fixture.codec] == "zstd")
        #expect(none[Fixture.size] == 10_485_760)
        #expect(none[Fixture.url] == nil)
    }

    @Test func anEmptyVariableIsNotSet() throws {
        let settings = try Fixture.settings("record", "f", "--name=a", environment: ["CODEC": ""])
        #expect(settings[Fixture.codec] == "zstd")
    }

    @Test func badVariablesAreNamed() {
        #expect(
            Fixture.problems("record", "f", "--name=a", environment: ["CODEC": "rar"]) == [
                "CODEC 'rar': must be one of: none, zstd"
            ])
        #expect(
            Fixture.problems("record", "f", "--name=a", file: "\n# x\nCODEC = 'rar'\n") == [
                "CODEC (demo.conf, line 3) 'rar': must be one of: none, zstd"
            ])
    }

    @Test func aBadURLIsNotRepeated() {
        let rule = "must be a URL: redis://…"
        let problems = Fixture.problems("record", "f", "--name=a", environment: ["REDIS_URL": "secret@host"])
        #expect(problems == ["REDIS_URL: \(rule)"])
        for url in ["secret@host", "rediss://anna:secret@host"] {
            let problems = Fixture.problems("record", "f", "--name=a", "--redis-url", url)
            #expect(problems == ["--redis-url: \(rule)"])
        }
    }

    @Test(arguments: [
        ["up", "redis://anna:secret@host"], ["record", "f", "--name=redis://anna:secret@host"],
        ["record", "f", "g", "redis://anna:secret@host", "--name=a"], ["redis://anna:secret@host"],
        ["record", "f", "--name=a", "--chunk-size=redis://anna:secret@host"],
        ["record", "f", "--name=a", "-xredis://anna:secret@host"],
        ["sessions", "redis://anna:secret@host"],
    ])
    func noProblemRepeatsAPassword(arguments: [String]) {
        var problems: [String] = []
        do throws(UsageError) {
            guard case .run(let invocation) = try Fixture.program.parse(arguments) else { return }
            _ = try Settings(
                invocation, of: Fixture.program, environment: { _ in nil }, file: ConfigurationFile.none)
        } catch { problems = error.problems }
        #expect(!problems.isEmpty)
        #expect(!problems.joined().contains("secret"), "\(problems)")
    }

    @Test func aConfigurationFileDoesNotRepeatAPasswordEither() {
        let problems = Fixture.problems(
            "up", file: "redis://anna:secret@host/?a=b\nREDIS_URL=anna:secret@host")
        #expect(problems.count == 2)
        #expect(!problems.joined().contains("secret"), "\(problems)")
    }

    @Test func aPasswordOnTheCommandLineIsNoticed() throws {
        func exposed(_ url: String) throws -> [String] {
            try Fixture.settings("record", "f", "--name=a", "--redis-url", url).exposedOptions
        }
        #expect(try exposed("redis://anna:secret@host") == ["--redis-url (REDIS_URL)"])
        #expect(try exposed("redis://host") == [])
        let settings = try Fixture.settings(
            "record", "f", "--name=a", environment: ["REDIS_URL": "redis://anna:secret@host"])
        #expect(settings.exposedOptions == [])
    }

    @Test(arguments: [
        ("redis://anna:secret@host:1/2", "redis://…@host:1/2"),
        ("open redis://h and mongodb://u:p@ss/w?@h/?a=b now", "open redis://h and mongodb://…@h/?a=b now"),
        ("a \"redis://u:p@h\", 'x://u@y'", "a \"redis://…@h\", 'x://…@y'"), ("anna@host", "anna@host"),
        ("http://h/p", "http://h/p"), ("", ""),
    ])
    func credentialsAreLeftOutOfTexts(text: String, shown: String) {
        #expect(withoutCredentials(text) == shown)
        #expect(withoutCredentials(shown) == shown)
    }

    @Test func someCommandsCheckEveryVariable() {
        #expect(
            Fixture.problems("up", environment: ["CODEC": "rar"]) == [
                "CODEC 'rar': must be one of: none, zstd"
            ])
        #expect(Fixture.problems("sessions", "list", environment: ["CODEC": "rar"]).isEmpty)
    }

    @Test func badFilesAreRefusedWithTheLine() {
        #expect(
            Fixture.problems("up", file: "CODECS=zstd\nfoo\nSIZE_MB=1\nSIZE_MB=2") == [
                "demo.conf, line 2: must have the form NAME=value",
                "demo.conf, line 4: SIZE_MB stands twice",
                "demo.conf, line 1: unknown name CODECS; did you mean CODEC?",
            ])
        #expect(
            Fixture.problems("up", file: "CODEC=zstd\r\nNA\0ME=a\n\tSIZE_MB\t=\t1\nTAG=a\u{1B}b") == [
                "demo.conf, line 2: has a control character", "demo.conf, line 4: has a control character",
            ])
    }

    @Test(arguments: [
        ("0.25", 262_144), ("10", 10_485_760), ("100", 104_857_600), ("0.001", 1048), ("0.5", 524_288),
    ])
    func megabytes(text: String, bytes: Int) {
        #expect(Rule.megabytes(atLeastBytes: 1024, atMostMegabytes: 100).parse(text) == bytes)
    }

    @Test(arguments: [
        "0", "0.0", "-1", "+1", "100.01", "101", "0.0009", "1e1", "inf", "nan", "0x1", "", "1.", ".5", "1,5",
        " 1",
        "1.2.3", "99999999999999999999",
    ])
    func notMegabytes(text: String) {
        #expect(Rule.megabytes(atLeastBytes: 1024, atMostMegabytes: 100).parse(text) == nil)
    }

    @Test func otherRules() {
        #expect(Rule.port.parse("65535") == 65_535)
        #expect(Rule.port.parse("0") == nil)
        #expect(Rule.port.parse("65536") == nil)
        #expect(Rule.integer(1...9).parse("9") == 9)
        #expect(Rule.integer(1...9).parse("10") == nil)
        #expect(Rule.integer(1...9).parse("٣") == nil)
        #expect(Rule.identifier.parse("sess-01_A") == "sess-01_A")
        #expect(Rule.identifier.parse("a/b") == nil)
        #expect(Rule.identifier.parse(String(repeating: "a", count: 101)) == nil)
        #expect(Rule<String>.text(upTo: 3).parse("") == nil)
        #expect(Rule<String>.text(upTo: 3).parse("äöü") == "äöü")
        for bad in ["a\nb", "\u{1B}[", "\u{85}", "a\tb", "\u{202E}a"] {
            #expect(Rule<String>.text(upTo: 3).parse(bad) == nil)
            #expect(Rule<String>.path.parse(bad) == nil)
        }
        #expect(Rule<String>.lines(upTo: 5).parse("a\r\n\tb") == "a\r\n\tb")
        #expect(Rule<String>.lines(upTo: 5).parse("a\u{7}b") == nil)
        #expect(Rule<String>.url(["redis"]).parse("redis://") == nil)
        #expect(Rule<String>.url(["redis"]).parse("redis://h:1\n") == nil)
        #expect(Rule<String>.path.parse("a\0b") == nil)
    }
}
