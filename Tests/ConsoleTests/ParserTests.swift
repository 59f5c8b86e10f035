import Console
import Testing

@Suite struct ParserTests {
    @Test func readsOptionsInEveryForm() throws {
        let settings = try Fixture.settings(
            "record", "--name", "a", "in.bin", "--codec=none", "-oout", "--tag", "x", "--tag=y", "-f")
        #expect(settings[Fixture.name] == "a")
        #expect(settings[Fixture.codec] == "none")
        #expect(settings[Fixture.output] == "out")
        #expect(settings.all(Fixture.tag) == ["x", "y"])
        #expect(settings[Fixture.follow])
        #expect(!settings[Fixture.json])
        #expect(settings.positional(0) == "in.bin")
        #expect(settings.positional(1) == nil)
    }

    @Test func dashAndDoubleDashAreArguments() throws {
        #expect(try Fixture.settings("record", "--name", "a", "-").positional(0) == "-")
        #expect(try Fixture.settings("record", "--name", "a", "--", "--json").positional(0) == "--json")
        #expect(try Fixture.settings("record", "f", "--name", "a", "-o", "-")[Fixture.output] == "-")
        #expect(try Fixture.settings("record", "f", "--name=--x")[Fixture.name] == "--x")
    }

    @Test(arguments: [
        (["recrod"], "unknown command recrod; did you mean record?"),
        (["sessions", "lst"], "unknown command sessions lst; did you mean list?"),
        (["sessions"], "sessions needs one of: list"),
        (
            ["--data", "x", "record"],
            "unknown option --data before a command; options stand behind the command"
        ),
        (["xyzzy"], "unknown command xyzzy"),
    ])
    func refusesUnknownCommands(arguments: [String], problem: String) {
        #expect(throws: UsageError.self) { try Fixture.program.parse(arguments) }
        do { _ = try Fixture.program.parse(arguments) } catch { #expect(error.problems == [problem]) }
    }

    @Test func namesUnknownOptionsAndWhatWasMeant() {
        #expect(
            Fixture.problems("record", "f", "--name", "a", "--chunksize", "1") == [
                "unknown option --chunksize; did you mean --chunk-size?", "unexpected argument 1",
            ])
        #expect(Fixture.problems("record", "f", "--name=a", "-x") == ["unknown option -x"])
        #expect(Fixture.problems("record", "f", "--name=a", "--quux") == ["unknown option --quux"])
    }

    @Test func reportsEverythingAtOnce() {
        let problems = Fixture.problems("record", "--chunk-size", "0", "--codec", "rar", "--json=1", "--tag")
        #expect(problems.count == 6)
        #expect(problems.contains("--json takes no value"))
        #expect(problems.contains("--tag needs a value: TAG"))
        #expect(problems.contains("--codec 'rar': must be one of: none, zstd"))
        #expect(problems.contains("--name is missing: The session's name"))
        #expect(problems.contains("FILE is missing: what to record"))
        #expect(problems.contains { $0.hasPrefix("--chunk-size '0': must be above 0 and at most 100 MB") })
    }

    @Test func aSingleValueMayNotBeGivenTwice() {
        #expect(Fixture.problems("record", "f", "--name", "a", "--name", "b") == ["--name is given twice"])
        #expect(Fixture.problems("record", "f", "g", "--name", "a") == ["unexpected argument g"])
    }

    @Test func anOptionIsNoValue() {
        #expect(
            Fixture.problems("record", "f", "--name", "--json") == [
                "--name needs a value: NAME", "--name is missing: The session's name",
            ])
    }

    @Test func helpComesFromTheDeclarations() throws {
        guard case .help(let text) = try Fixture.program.parse(["record", "--help"]) else {
            Issue.record("no help")
            return
        }
        #expect(text.hasPrefix("Usage: demo record FILE --name NAME [options]\n"))
        #expect(text.contains("  --chunk-size MB    Largest size of a chunk [default: 10] [env: SIZE_MB]"))
        #expect(text.contains("  -o, --output FILE  Where to"))
        #expect(text.contains("  demo record a.bin --name a"))
        #expect(text.contains("  0  success\n  1  the answer is no"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test(arguments: [[], ["--help"], ["-h"], ["help"]])
    func helpOnTheProgramListsItsCommands(arguments: [String]) throws {
        guard case .help(let text) = try Fixture.program.parse(arguments) else {
            Issue.record("no help")
            return
        }
        #expect(text.contains("  sessions list  List sessions"))
    }

    @Test func helpOnAGroupAndByWord() throws {
        guard case .help(let group) = try Fixture.program.parse(["sessions", "--help"]),
            case .help(let word) = try Fixture.program.parse(["help", "sessions", "list"])
        else {
            Issue.record("no help")
            return
        }
        #expect(group.hasPrefix("Usage: demo sessions COMMAND"))
        #expect(word.hasPrefix("Usage: demo sessions list"))
    }

    @Test func saysItsVersion() throws {
        guard case .version(let text) = try Fixture.program.parse(["--version"]) else {
            Issue.record("no version")
            return
        }
        #expect(text == "demo 1.2")
    }
}
