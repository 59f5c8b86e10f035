package import Base
package import EventSourcing

/// What a film says of itself, as it was found by looking into the file before it was recorded. What is nil
/// the file doesn't say, or not in a way that can be relied on.
package struct MediaFacts: Sendable, Hashable {
    /// The bounds of its numbers: what lies beyond them no film says and means.
    package enum Bounds {
        /// Seconds: ten years.
        package static let seconds = 0.0...315_360_000
        /// Pixels of a side.
        package static let pixels = 1...65_535
        /// Pictures a second.
        package static let frameRate = 0.0...1_000
        /// Bytes of the file.
        package static let bytes = 1...9_007_199_254_740_991
        /// Characters of the container's name.
        package static let container = 1...64
    }

    /// The container's name, as libavformat has it: `mov,mp4,m4a,3gp,3g2,mj2`, `matroska,webm`, `avi`.
    package var container: String
    /// Bytes of the file when it was looked at.
    package var sizeBytes: Int
    /// Its length in seconds.
    package var durationSeconds: Double?
    /// Width of its picture.
    package var width: Int?
    /// Height of its picture.
    package var height: Int?
    /// Pictures a second, on average.
    package var frameRate: Double?
    /// Pictures in it.
    package var frameCount: Int?
    /// Whether it has sound.
    package var audio: Bool

    /// Facts of which nothing is known but these.
    package init(container: String, sizeBytes: Int, audio: Bool) {
        self.container = container
        self.sizeBytes = sizeBytes
        self.audio = audio
    }

    /// Every rule that is broken.
    package var violations: [Violation] {
        var rules = Rules("media")
        rules.length("container", container, Bounds.container)
        rules.range("size_bytes", sizeBytes, Bounds.bytes)
        rules.range("duration_seconds", durationSeconds, Bounds.seconds)
        rules.range("width", width, Bounds.pixels)
        rules.range("height", height, Bounds.pixels)
        rules.range("frame_rate", frameRate, Bounds.frameRate)
        rules.range("frame_count", frameCount, NumberBounds.frames)
        return rules.violations
    }

    /// What of it a recording's configuration says too, in the terms and within the bounds of that.
    package func describe(_ recording: inout RecordingConfig) {
        recording.audioEnabled = audio
        let rate = frameRate.map { Int(saturating: $0.rounded()) }
        recording.frameRate = rate.flatMap { NumberBounds.frameRate.contains($0) ? $0 : nil }
        guard let width, let height else { return }
        var described = recording
        described.resolution = "\(width)x\(height)"
        if described.violations.isEmpty { recording = described }
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("container", container)
            json.member("size_bytes", sizeBytes)
            json.member("duration_seconds", durationSeconds)
            json.member("width", width)
            json.member("height", height)
            json.member("frame_rate", frameRate)
            json.member("frame_count", frameCount)
            json.member("audio", audio)
        }
    }

    /// Reads the object.
    package init(from json: FieldReader) throws(MalformedEvent) {
        self.init(
            container: try json.string("container", Bounds.container),
            sizeBytes: try json.integer("size_bytes", Bounds.bytes), audio: try json.bool("audio"))
        durationSeconds = try json.optionalNumber("duration_seconds", Bounds.seconds)
        width = try json.optionalInteger("width", Bounds.pixels)
        height = try json.optionalInteger("height", Bounds.pixels)
        frameRate = try json.optionalNumber("frame_rate", Bounds.frameRate)
        frameCount = try json.optionalInteger("frame_count", NumberBounds.frames)
    }
}
