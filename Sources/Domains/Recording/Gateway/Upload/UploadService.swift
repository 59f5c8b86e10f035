internal import Intake

/// What takes in uploads.
struct UploadService: Sendable {
    let service: SessionService
    let intake: ChunkIntake
    let marks: RecorderMarks
    let keys: any SessionKeyAccess
}
