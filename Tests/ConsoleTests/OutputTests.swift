import Console
import Testing

@Suite struct OutputTests {
    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10_485_760, "10.0 MiB"), (131_072_000, "125 MiB"),
        (1_099_511_627_776, "1.0 TiB"),
    ])
    func bytes(count: Int, text: String) { #expect(Quantity.bytes(count) == text) }

    @Test func clocksAndGroups() {
        #expect(Quantity.clock(seconds: 7) == "0:07")
        #expect(Quantity.clock(seconds: 3_599) == "59:59")
        #expect(Quantity.clock(seconds: 11_109) == "3:05:09")
        #expect(Quantity.grouped(0) == "0")
        #expect(Quantity.grouped(1_234_567) == "1,234,567")
        #expect(Quantity.grouped(-1_000) == "-1,000")
        #expect(Quantity.grouped(Int.min).hasPrefix("-9,223,"))
    }

    @Test func progressWithATotal() {
        var line = ProgressLine("recording", of: ("chunk", "chunks"), totalBytes: 100 << 20)
        #expect(line.secondsLeft == nil)
        #expect(line.render(columns: 100).contains("0%"))
        line.bytes = 25 << 20
        line.parts = 3
        line.elapsedMilliseconds = 5000
        #expect(line.rate == 5 << 20)
        #expect(line.secondsLeft == 15)
        let text = line.render(columns: 120)
        #expect(
            text
                == "recording  ███████░░░░░░░░░░░░░░░░░░░░░░░  25%  25.0 MiB of 100 MiB  3 chunks  "
                + "5.0 MiB/s  0:15 left")
        line.waitingFor = "the log"
        #expect(line.render(columns: 120).hasSuffix("5.0 MiB/s  waiting for the log"))
        line.waitingFor = nil
        line.bytes = 100 << 20
        #expect(line.render(columns: 120).contains(" 100%  "))
        #expect(line.render(columns: 120).hasSuffix("20.0 MiB/s  0:05"))
        for columns in 0...140 { #expect(line.render(columns: columns).count <= columns) }
    }

    @Test func progressWithoutATotal() {
        var line = ProgressLine("recording", of: ("chunk", "chunks"), totalBytes: nil)
        line.bytes = 1024
        line.parts = 1
        line.elapsedMilliseconds = 2000
        #expect(line.render(columns: 80) == "recording  1.0 KiB  1 chunk  512 B/s  0:02")
        #expect(ProgressLine("x", of: ("chunk", "chunks"), totalBytes: 0).share == 1)
    }

    @Test func tablesAlignAndClean() {
        var table = Table("NAME", ">SIZE", "STATUS")
        #expect(table.isEmpty)
        table.add("a", "1.0 KiB", "ok")
        table.add("b\u{1B}[2J\n", "10 B", "")
        table.add("c")
        #expect(
            table.render() == [
                "NAME       SIZE  STATUS", "a       1.0 KiB  ok", "b�[2J�     10 B", "c",
            ])
        #expect(table.render(columns: 10)[1] == "a       1…")
    }

    @Test func logLinesStayOneLine() {
        let line = LogLine(
            time: "T", level: .warning, role: "store", "disk\nfull",
            [("path", "a b"), ("n", "1"), ("q", "a\"b"), ("e", "")])
        #expect(line.description == "T warning store: disk\\nfull path=\"a b\" n=1 q=\"a\\\"b\" e=\"\"")
        #expect(LogLevel.debug < .error)
    }
}
