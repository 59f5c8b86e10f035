internal import Base
internal import CAvformat
internal import Glibc
package import Recording

/// Reads what a film says of itself, with libavformat. The bytes are a stranger's: call it in a process that
/// has nothing to lose (`MediaProbe`).
package struct FilmReader: Sendable {
    private let library: reel_avformat

    /// Containers that hold films. The library knows many more, among them text that names other files.
    private static let formats =
        "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,nut,mxf,ivf,wav,mp3,flac"
    /// From here on the library is sure of the container.
    private static let score: Int32 = 50
    private static let bufferBytes: Int32 = 32 << 10

    /// A reader; nil where libavformat is not installed.
    package init?() {
        var library = reel_avformat()
        guard reel_avformat_load(&library) == 0 else { return nil }
        library.set_log_level(-8)
        self.library = library
    }

    /// The facts of the film in an open file of so many bytes; nil when it is none. Its offset stays where
    /// it is.
    package func read(_ descriptor: Int32, size: Int64) -> MediaFacts? {
        return withUnsafeTemporaryAllocation(of: OpenFilm.self, capacity: 1) { memory in
            memory.initializeElement(at: 0, to: OpenFilm(descriptor: descriptor, size: size))
            guard let film = memory.baseAddress else { return nil }
            return withInput(film) { facts($0, size: size) }
        }
    }

    private func withInput(
        _ film: UnsafeMutablePointer<OpenFilm>,
        _ body: (UnsafeMutablePointer<AVFormatContext>) -> MediaFacts?
    ) -> MediaFacts? {
        guard let buffer = library.allocate(Int(Self.bufferBytes)) else { return nil }
        var input = library.alloc_io(
            buffer.assumingMemoryBound(to: UInt8.self), Self.bufferBytes, 0, film, OpenFilm.read, nil,
            OpenFilm.seek)
        guard let io = input else {
            library.release(buffer)
            return nil
        }
        defer {
            // The library may have put another buffer in its place.
            library.release(io.pointee.buffer)
            library.free_io(&input)
        }
        guard let created = library.alloc_context() else { return nil }
        created.pointee.pb = io
        created.pointee.flags |= AVFMT_FLAG_CUSTOM_IO
        created.pointee.io_open = reel_refuse_open
        var context: UnsafeMutablePointer<AVFormatContext>? = created
        var options: OpaquePointer?
        _ = library.set(&options, "format_whitelist", Self.formats, 0)
        // Frees the context when it fails.
        guard library.open_input(&context, "film", nil, &options) >= 0, let context else { return nil }
        var closing: UnsafeMutablePointer<AVFormatContext>? = context
        defer { library.close_input(&closing) }
        guard context.pointee.probe_score >= Self.score, library.find_stream_info(context, nil) >= 0 else {
            return nil
        }
        return body(context)
    }

    private func facts(_ context: UnsafeMutablePointer<AVFormatContext>, size: Int64) -> MediaFacts? {
        guard let format = context.pointee.iformat, let name = format.pointee.name else { return nil }
        var facts = MediaFacts(
            container: String(cString: name), sizeBytes: Int(clamping: size), audio: false)
        var hasPicture = false
        for index in 0..<Int(context.pointee.nb_streams) {
            guard let stream = context.pointee.streams[index], let codec = stream.pointee.codecpar else {
                continue
            }
            switch codec.pointee.codec_type {
            case AVMEDIA_TYPE_AUDIO: facts.audio = true
            case AVMEDIA_TYPE_VIDEO
            where !hasPicture && stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC == 0:
                hasPicture = true
                Self.describe(stream.pointee, codec.pointee, &facts)
            default: break
            }
        }
        guard hasPicture || facts.audio else { return nil }
        // One that is guessed from the rate of bits is no fact.
        if context.pointee.duration_estimation_method != AVFMT_DURATION_FROM_BITRATE {
            let microseconds = context.pointee.duration
            facts.durationSeconds =
                microseconds == reel_av_no_time
                ? nil
                : Self.within(
                    MediaFacts.Bounds.seconds, Double(microseconds) / 1_000_000)
        }
        return facts.violations.isEmpty ? facts : nil
    }

    private static func describe(
        _ stream: AVStream, _ codec: AVCodecParameters, _ facts: inout MediaFacts
    ) {
        let bounds = MediaFacts.Bounds.pixels
        if bounds.contains(Int(codec.width)), bounds.contains(Int(codec.height)) {
            (facts.width, facts.height) = (Int(codec.width), Int(codec.height))
        }
        let rate = stream.avg_frame_rate
        if rate.den > 0 {
            facts.frameRate = within(MediaFacts.Bounds.frameRate, Double(rate.num) / Double(rate.den))
        }
        let frames = Int(clamping: stream.nb_frames)
        if frames > 0, NumberBounds.frames.contains(frames) { facts.frameCount = frames }
    }

    /// A number that says something: within bounds, and above 0.
    private static func within(_ bounds: ClosedRange<Double>, _ number: Double) -> Double? {
        number > 0 && bounds.contains(number) ? number : nil
    }
}

/// An open file and the library's own place in it: the descriptor's offset is somebody else's.
private struct OpenFilm {
    let descriptor: Int32
    let size: Int64
    var offset: Int64 = 0

    static let read: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<UInt8>?, Int32) -> Int32 =
        {
            film, target, count in
            guard let film = film?.assumingMemoryBound(to: OpenFilm.self), let target, count > 0 else {
                return reel_av_failure
            }
            let got = pread(film.pointee.descriptor, target, Int(count), off_t(film.pointee.offset))
            guard got > 0 else { return got == 0 ? reel_av_end_of_file : reel_av_failure }
            film.pointee.offset += Int64(got)
            return Int32(got)
        }

    static let seek: @convention(c) (UnsafeMutableRawPointer?, Int64, Int32) -> Int64 = {
        film, offset, whence in
        guard let film = film?.assumingMemoryBound(to: OpenFilm.self) else { return -1 }
        var base: Int64 = 0
        switch whence & ~AVSEEK_FORCE {
        case reel_av_ask_size: return film.pointee.size
        case SEEK_SET: base = 0
        case SEEK_CUR: base = film.pointee.offset
        case SEEK_END: base = film.pointee.size
        default: return -1
        }
        let place = base +| offset
        guard place >= 0, place < .max else { return -1 }
        film.pointee.offset = place
        return place
    }
}
