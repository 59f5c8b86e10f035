/// The candidate that `text` was most likely meant to be; nil when none is near.
func suggestion(for text: String, among candidates: [String]) -> String? {
    let limit = max(1, min(3, text.count / 3 + 1))
    let near = candidates.map { ($0, distance(text, $0)) }.filter { $0.1 <= limit }
    if let best = near.min(by: { $0.1 < $1.1 }) { return best.0 }
    guard text.count >= 3 else { return nil }
    return candidates.first { $0.hasPrefix(text) }
}

/// Optimal string alignment distance: insertions, deletions, replacements and swapped neighbours.
func distance(_ first: String, _ second: String) -> Int {
    let a = Array(first.utf8)
    let b = Array(second.utf8)
    var before: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
        var row = [i + 1]
        for j in 0..<b.count {
            var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, before[j - 1] + 1) }
            row.append(best)
        }
        before = last
        last = row
    }
    return last[b.count]
}
