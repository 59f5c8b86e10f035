import Metrics
import Testing

@Suite("Figures for Prometheus")
struct MetricsTests {
    private func text(_ registry: MetricsRegistry) -> String {
        String(decoding: registry.text(), as: UTF8.self)
    }

    @Test("Families stand in order, with their help, their kind and their members")
    func families() {
        let registry = MetricsRegistry()
        registry.gauge("b_open", "Open \\ things\nnow.").set(-3)
        registry.counter("a_total", "All.", [Label("code", "404")]).add(2)
        registry.counter("a_total", "All.", [Label("code", "200")]).add()
        registry.counter("a_total", "All.", [Label("code", "200")]).add()
        registry.reading("c_ratio", "Read when written.") { 0.25 }
        #expect(
            text(registry) == """
                # HELP a_total All.
                # TYPE a_total counter
                a_total{code="200"} 2
                a_total{code="404"} 2
                # HELP b_open Open \\\\ things\\nnow.
                # TYPE b_open gauge
                b_open -3
                # HELP c_ratio Read when written.
                # TYPE c_ratio gauge
                c_ratio 0.25

                """)
    }

    @Test("Label values are escaped")
    func labels() {
        let registry = MetricsRegistry()
        registry.counter("x_total", "X.", [Label("path", "a\"b\\c\nd")]).add()
        #expect(text(registry).contains("x_total{path=\"a\\\"b\\\\c\\nd\"} 1\n"))
    }

    @Test("A histogram counts at and below each bound, and everything in the last bucket")
    func histogram() {
        let registry = MetricsRegistry()
        let histogram = registry.histogram("t_seconds", "T.", bounds: [1_000_000_000, 500_000_000])
        for nanoseconds: UInt64 in [1, 500_000_000, 500_000_001, 1_000_000_001] {
            histogram.record(nanoseconds: nanoseconds)
        }
        #expect(
            text(registry) == """
                # HELP t_seconds T.
                # TYPE t_seconds histogram
                t_seconds_bucket{le="0.5"} 2
                t_seconds_bucket{le="1"} 3
                t_seconds_bucket{le="+Inf"} 4
                t_seconds_sum 2.000000003
                t_seconds_count 4

                """)
    }
}
